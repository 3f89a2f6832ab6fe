"""Passkeys: added by whoever is signed in, good for signing in without password and code, and nothing else is."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pyotp
import pytest

from tests.access.credentials.authenticator import Authenticator
from tests.conftest import UserClient, register_user
from tests.core.test_http import assert_problem
from tests.roost_server import RoostServer


@pytest.fixture
def origin(server: RoostServer) -> str:
    """The hub by its name: passkeys know no IP addresses."""
    return f"http://localhost:{server.port}"


@pytest.fixture
def visitor(origin: str) -> Iterator[httpx2.Client]:
    """Nobody yet, at that address."""
    with httpx2.Client(base_url=f"{origin}/api/v1", trust_env=False, verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def owner(visitor: httpx2.Client, user: UserClient) -> UserClient:
    """Somebody signed in, at that address."""
    user.base_url = visitor.base_url
    return user


def options_for(client: httpx2.Client, path: str = "/auth/login/passkey/options") -> dict[str, Any]:
    answer = client.post(path)
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()["public_key"]
    return options


def add(owner: UserClient, key: Authenticator) -> dict[str, Any]:
    made = key.create(options_for(owner, "/auth/passkeys/options"))
    answer = owner.post("/auth/passkeys", json={"name": "phone", "credential": made})
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


def sign_in(client: httpx2.Client, credential: dict[str, Any], **more: Any) -> httpx2.Response:
    return client.post("/auth/login/passkey", json={"credential": credential, **more})


def test_signs_its_owner_in(visitor: httpx2.Client, owner: UserClient, origin: str) -> None:
    key = Authenticator(origin)
    added = add(owner, key)
    assert (added["name"], added["transports"], added["last_used_at"]) == ("phone", ["internal"], None)
    options = options_for(visitor)
    assert (options["rpId"], options["userVerification"], options["allowCredentials"]) == ("localhost", "required", [])
    answer = sign_in(visitor, key.get(options))
    assert answer.status_code == 200, answer.text
    signed_in = answer.json()
    assert signed_in["user"]["id"] == owner.profile["id"]
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    sessions = visitor.get("/auth/sessions", headers=headers).json()
    assert [(one["method"], one["current"]) for one in sessions] == [("password", False), ("passkey", True)]
    assert owner.get("/auth/passkeys").json()[0]["last_used_at"]
    cookie = sign_in(visitor, key.get(options_for(visitor)), cookie=True)
    assert cookie.json()["refresh_token"] is None
    assert "httponly" in cookie.headers["set-cookie"].lower()


def test_needs_no_code(visitor: httpx2.Client, owner: UserClient, origin: str) -> None:
    key = Authenticator(origin)
    add(owner, key)
    app = pyotp.TOTP(owner.post("/auth/totp/setup").json()["secret"])
    assert owner.post("/auth/totp/confirm", json={"code": app.now()}).status_code == 200
    login = {"email": owner.email, "password": owner.password}
    assert_problem(visitor.post("/auth/login", json=login), 401, "second_factor_required")
    assert sign_in(visitor, key.get(options_for(visitor))).status_code == 200


def test_an_answer_counts_once_and_only_for_what_was_asked(
    visitor: httpx2.Client, owner: UserClient, origin: str
) -> None:
    key = Authenticator(origin, counts=False)
    add(owner, key)
    answer = key.get(options_for(visitor))
    assert sign_in(visitor, answer).status_code == 200
    refused = sign_in(visitor, answer)
    assert_problem(refused, 401, "wrong_credentials")
    assert refused.headers["WWW-Authenticate"]
    # A challenge that the hub has never given out, and one that was meant for something else.
    assert_problem(sign_in(visitor, key.get({**options_for(visitor), "challenge": "AAAA"})), 401, "wrong_credentials")
    other = options_for(owner, "/auth/passkeys/options")
    assert_problem(sign_in(visitor, key.get({**other, "rpId": "localhost"})), 401, "wrong_credentials")


def test_lies_are_refused(visitor: httpx2.Client, owner: UserClient, server: RoostServer, origin: str) -> None:
    key = Authenticator(origin)
    add(owner, key)

    def refused(credential: dict[str, Any]) -> None:
        assert_problem(sign_in(visitor, credential), 401, "wrong_credentials")

    stranger = Authenticator(origin, credential_id=key.credential_id, handle=key.handle)
    refused(stranger.get(options_for(visitor)))
    refused(Authenticator(origin, handle=key.handle).get(options_for(visitor)))
    unseen = Authenticator(
        origin, verified=False, handle=key.handle, credential_id=key.credential_id, key=key.key, count=50
    )
    refused(unseen.get(options_for(visitor)))
    elsewhere = Authenticator(
        "http://phishing.example", handle=key.handle, credential_id=key.credential_id, key=key.key, count=60
    )
    refused(elsewhere.get(options_for(visitor)))
    refused(key.get({**options_for(visitor), "rpId": "phishing.example"}))
    refused(key.get(options_for(visitor), userHandle="cm9vc3QtdXNlci0x"))
    refused(key.get(options_for(visitor), signature="AAAA"))
    refused(key.get(options_for(visitor), authenticatorData="AAAA"))
    assert sign_in(visitor, key.get(options_for(visitor))).status_code == 200
    # A copy of the key has fallen behind the original.
    key.count -= 1
    refused(key.get(options_for(visitor)))


@pytest.mark.parametrize(
    "credential", [{"id": "x"}, {"response": 7}, {"response": {"clientDataJSON": "%%%"}}, {"": ""}]
)
def test_what_no_browser_answers(visitor: httpx2.Client, owner: UserClient, credential: dict[str, Any]) -> None:
    assert_problem(sign_in(visitor, credential), 422, "passkey_not_valid")
    assert_problem(owner.post("/auth/passkeys", json={"name": "a", "credential": credential}), 422, "passkey_not_valid")


def test_what_is_not_added(visitor: httpx2.Client, owner: UserClient, server: RoostServer, origin: str) -> None:
    def refused(credential: dict[str, Any], status: int = 422) -> None:
        assert_problem(owner.post("/auth/passkeys", json={"name": "a", "credential": credential}), status)

    path = "/auth/passkeys/options"
    refused(Authenticator(origin, verified=False).create(options_for(owner, path)))
    refused(Authenticator("http://phishing.example").create(options_for(owner, path)))
    with register_user(server) as other:
        other.base_url = visitor.base_url
        refused(Authenticator(origin).create(options_for(other, path)))
        key = Authenticator(origin)
        add(other, key)
        # The same key for two accounts, and twice for one.
        refused(key.create(options_for(owner, path)), 409)
        begun = options_for(other, path)
        assert [one["id"] for one in begun["excludeCredentials"]] == [key.create(begun)["id"]]
    made = Authenticator(origin).create(options_for(owner, path))
    assert owner.post("/auth/passkeys", json={"name": "a", "credential": made}).status_code == 201
    refused(made)
    assert len(owner.get("/auth/passkeys").json()) == 1


def test_removed_it_signs_nobody_in(
    visitor: httpx2.Client, owner: UserClient, server: RoostServer, origin: str
) -> None:
    key = Authenticator(origin)
    passkey = add(owner, key)
    with register_user(server) as stranger:
        assert_problem(stranger.delete(f"/auth/passkeys/{passkey['id']}"), 404, "passkey_not_found")
    assert owner.delete(f"/auth/passkeys/{passkey['id']}").status_code == 204
    assert owner.get("/auth/passkeys").json() == []
    assert_problem(sign_in(visitor, key.get(options_for(visitor))), 401, "wrong_credentials")


def test_an_ip_address_is_no_name(client: httpx2.Client, visitor: httpx2.Client, user: UserClient) -> None:
    assert_problem(client.post("/auth/login/passkey/options"), 409, "passkeys_need_a_name")
    assert_problem(user.post("/auth/passkeys/options"), 409, "passkeys_need_a_name")
    assert client.get("/auth/providers").json()["passkeys"] is False
    assert visitor.get("/auth/providers").json()["passkeys"] is True
