"""Which passwords are accepted, and how they are kept."""

import pytest
from argon2._password_hasher import PasswordHasher
from pwdlib.hashers.bcrypt import BcryptHasher

from roost.access.common_passwords import examples
from roost.access.passwords import Passwords, weakness


@pytest.fixture(autouse=True)
def real_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other tests hash quickly costs here what it costs people."""
    monkeypatch.setattr("pwdlib.hashers.argon2.PasswordHasher", PasswordHasher)


@pytest.mark.parametrize(
    "password", ["Test1234!", "correct horse battery", "Tall-Chimney-42", "pässwörter-sind-lang", "1.FC-Roost"]
)
def test_strong_enough(password: str) -> None:
    assert weakness(password, email="someone@example.org", username="someone") is None


@pytest.mark.parametrize(
    "password",
    [
        "",
        "Sh0rt!",
        "x" * 257,
        "password",
        "PASSWORD1",
        "P@ssw0rd!",
        "Password123!",
        "letmein123",
        "qwertyuiop",
        "asdfghjkl",
        "12345678",
        "87654321",
        "abcdefgh",
        "aaaaaaaaaa",
        "iloveyou2",
        "Welcome2024",
        "adminadmin",
        "footballfootball",
        "test1234",
        "Someone@Example.org",
        "someone-else",
    ],
)
def test_too_weak(password: str) -> None:
    reason = weakness(password, email="someone@example.org", username="Someone-Else")
    assert reason is not None
    assert reason.endswith(".")


def test_the_usual_spellings_are_known() -> None:
    spelled = [word for word in examples() if len(word) >= 8]
    assert len(spelled) > 400
    assert all(weakness(word) for word in spelled)


async def test_hashes_are_argon2id_with_the_advised_cost() -> None:
    passwords = Passwords()
    kept = await passwords.hash("Test1234!")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify("Test1234!", kept) == (True, None)
    assert await passwords.verify("test1234!", kept) == (False, None)
    passwords.close()


async def test_bcrypt_is_verified_and_upgraded() -> None:
    passwords = Passwords()
    kept = BcryptHasher(rounds=4).hash("Test1234!")
    matches, better = await passwords.verify("Test1234!", kept)
    assert matches
    assert better is not None
    assert better.startswith("$argon2id$")
    assert await passwords.verify("x" * 200, kept) == (False, None)
    passwords.close()


async def test_the_same_characters_composed_differently_are_the_same_password() -> None:
    passwords = Passwords()
    kept = await passwords.hash("Gru\u0308ne-Wiese")
    assert (await passwords.verify("Gr\u00fcne-Wiese", kept))[0]
    passwords.close()


@pytest.mark.parametrize("kept", [None, "", "garbage", "$argon2id$v=19$broken"])
async def test_without_a_usable_hash_the_answer_is_no(kept: str | None) -> None:
    passwords = Passwords()
    assert (await passwords.verify("Test1234!", kept))[0] is False
    passwords.close()
