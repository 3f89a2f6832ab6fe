"""Access tokens: the claims of the contract, and what is refused."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from roost.access.principals import Grant
from roost.access.tokens import AccessTokens
from roost.core.errors import Unauthorized
from roost.core.settings import Settings
from tests.stopped_clock import StoppedClock

SETTINGS = Settings(_env_file=None)
SECRET = "s" * 43


def tokens(clock: StoppedClock, secret: str = SECRET, **settings: str) -> AccessTokens:
    return AccessTokens(SETTINGS.model_copy(update=settings), secret, clock)


def issue(made: AccessTokens) -> str:
    return made.issue(user_id=7, email="a@b.c", session_id=9, grants=(Grant("viewer", 1),))


def part(token: str, index: int) -> dict[str, object]:
    text = token.split(".")[index]
    parsed: dict[str, object] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return parsed


def test_the_claims() -> None:
    clock = StoppedClock()
    token = issue(tokens(clock))
    claims = part(token, 1)
    assert claims.keys() == {"sub", "email", "scope", "iss", "aud", "iat", "exp", "jti", "sid"}
    assert (claims["sub"], claims["iss"], claims["aud"]) == ("7", "roost", "roost-clients")
    assert "devices:read" in str(claims["scope"]).split(" ")
    assert claims["exp"] == clock.now_ms() // 1000 + 900
    verified = tokens(clock).verify(token)
    assert (verified.user_id, verified.session_id) == (7, 9)


def test_expires() -> None:
    clock = StoppedClock()
    token = issue(tokens(clock))
    clock.advance(899)
    tokens(clock).verify(token)
    clock.advance(10)
    with pytest.raises(Unauthorized, match="expired"):
        tokens(clock).verify(token)


def test_a_token_from_the_future_is_not_valid_yet() -> None:
    clock, ahead = StoppedClock(), StoppedClock()
    ahead.advance(60)
    with pytest.raises(Unauthorized, match="not valid yet"):
        tokens(clock).verify(issue(tokens(ahead)))
    clock.advance(60)
    tokens(clock).verify(issue(tokens(ahead)))


def test_other_keys_issuers_audiences_and_algorithms_are_refused() -> None:
    clock = StoppedClock()
    good = tokens(clock)
    for other in (
        tokens(clock, "t" * 43),
        tokens(clock, jwt_issuer="someone"),
        tokens(clock, jwt_audience="others"),
        tokens(clock, "u" * 64, jwt_algorithm="HS512"),
    ):
        with pytest.raises(Unauthorized):
            good.verify(issue(other))


def test_unsigned_and_broken_tokens_are_refused() -> None:
    good = tokens(StoppedClock())
    header, payload, signature = issue(good).split(".")
    none = urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for broken in (
        "",
        "a",
        "a.b.c",
        f"{none}.{payload}.",
        f"{header}.{payload}.",
        f"{header}.{payload[:-2]}.{signature}",
        "\ud800",
        "." * 10_000,
    ):
        with pytest.raises(Unauthorized):
            good.verify(broken)
