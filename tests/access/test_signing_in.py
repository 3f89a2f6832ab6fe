"""Signing in, staying signed in and signing out, on a real server."""

import uuid
from unittest.mock import AsyncMock

import httpx2
import pytest

from roost.access.sessions import Client
from tests.conftest import UserClient, sign_in_admin
from tests.core.test_http import assert_problem
from tests.roost_server import RoostServer

PASSWORD = "Test1234!"


@pytest.fixture
def email(client: httpx2.Client) -> str:
    """Somebody registered, not signed in."""
    address = f"Ada-{uuid.uuid4().hex[:10]}@Example.org"
    assert client.post("/auth/register", json={"email": address, "password": PASSWORD}).status_code == 201
    return address


def login(client: httpx2.Client, **body: object) -> httpx2.Response:
    return client.post("/auth/login", json={"password": PASSWORD, **body})


def bearer(session: httpx2.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {session.json()['access_token']}"}


def test_by_any_name_in_any_spelling(client: httpx2.Client, email: str) -> None:
    username = login(client, email=email).json()["user"]["username"]
    for body in (
        {"identifier": email},
        {"email": email.upper()},
        {"username": username},
        {"identifier": username.upper()},
        {"identifier": f"  {email.lower()} "},
    ):
        answer = login(client, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "user"}
        assert answer.json()["token_type"] == "bearer"
        assert answer.headers["cache-control"] == "no-store"


def test_with_the_oauth2_form(client: httpx2.Client, email: str) -> None:
    form = {"grant_type": "password", "username": email, "password": PASSWORD, "scope": ""}
    assert client.post("/auth/login", data=form).status_code == 200
    assert client.post("/auth/login", data={"username": email, "password": PASSWORD}).status_code == 200
    assert_problem(client.post("/auth/login", data={"username": email}), 422)
    assert_problem(client.post("/auth/login", data={**form, "grant_type": "implicit"}), 422)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password": PASSWORD},
        {"identifier": "a"},
        {"identifier": "a", "email": "b", "password": PASSWORD},
        {"identifier": " ", "password": PASSWORD},
        {"identifier": "a", "password": "x" * 257},
        {"identifier": 7, "password": PASSWORD},
        [],
        "text",
    ],
)
def test_what_is_no_sign_in(client: httpx2.Client, body: object) -> None:
    assert_problem(client.post("/auth/login", json=body), 422)


def test_the_same_answer_whether_or_not_the_name_exists(client: httpx2.Client, email: str) -> None:
    unknown = f"{uuid.uuid4().hex}@example.org"
    wrong, nobody = login(client, email=email, password="not it"), login(client, email=unknown, password="not it")
    assert_problem(wrong, 401, "wrong_credentials")
    assert wrong.json() == nobody.json()
    odd = login(client, identifier="nul\x00byte", password="not it")
    assert odd.status_code in {401, 422}


async def test_the_same_work_whether_or_not_the_name_exists(settled_sessions: "tuple[object, AsyncMock]") -> None:
    sessions, verify = settled_sessions
    for identifier in ("ada@example.org", "nobody@example.org"):
        with pytest.raises(Exception, match="wrong"):
            await sessions.sign_in(identifier, "not it", Client("10.0.0.1"))  # type: ignore[attr-defined]
    assert verify.await_count == 2


def test_repeated_failures_have_to_wait(client: httpx2.Client, email: str) -> None:
    answers = [login(client, email=email, password="not it") for _ in range(8)]
    assert answers[0].status_code == 401
    last = answers[-1]
    assert_problem(last, 429, "too_many_failures")
    assert int(last.headers["retry-after"]) >= 1


def test_refresh_tokens_rotate_and_a_reuse_ends_the_session(client: httpx2.Client, email: str) -> None:
    first = login(client, email=email)
    second = client.post("/auth/refresh", json={"refresh_token": first.json()["refresh_token"]})
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first.json()["refresh_token"]
    assert client.get("/auth/me", headers=bearer(second)).status_code == 200
    reused = client.post("/auth/refresh", json={"refresh_token": first.json()["refresh_token"]})
    assert_problem(reused, 401, "invalid_refresh_token")
    for token in (second, first):
        assert_problem(client.post("/auth/refresh", json={"refresh_token": token.json()["refresh_token"]}), 401)
        assert_problem(client.get("/auth/me", headers=bearer(token)), 401, "session_ended")
    assert login(client, email=email).status_code == 200


def test_what_is_no_refresh(client: httpx2.Client) -> None:
    assert_problem(client.post("/auth/refresh"), 401, "no_refresh_token")
    assert_problem(client.post("/auth/refresh", json={}), 401)
    assert_problem(client.post("/auth/refresh", json={"refresh_token": "rrt_made-up"}), 401)
    assert_problem(client.post("/auth/refresh", json={"refresh_token": "x" * 1000}), 422)


def test_signing_out_ends_the_session_at_once(client: httpx2.Client, email: str) -> None:
    session, other = login(client, email=email), login(client, email=email)
    assert client.post("/auth/logout", json={"refresh_token": session.json()["refresh_token"]}).status_code == 204
    assert_problem(client.get("/auth/me", headers=bearer(session)), 401, "session_ended")
    assert client.get("/auth/me", headers=bearer(other)).status_code == 200
    assert client.post("/auth/logout", headers=bearer(other)).status_code == 204
    assert_problem(client.get("/auth/me", headers=bearer(other)), 401, "session_ended")
    assert_problem(client.post("/auth/logout"), 401)
    assert_problem(client.post("/auth/logout", headers=bearer(other)), 401)


def test_the_web_app_keeps_its_refresh_token_in_a_cookie(server: RoostServer, email: str) -> None:
    with httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False) as browser:
        signed_in = login(browser, email=email, cookie=True)
        assert signed_in.json()["refresh_token"] is None
        cookie = signed_in.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/api/v1/auth"):
            assert attribute.lower() in cookie.lower()
        assert browser.get("/auth/me").status_code == 401, "the cookie alone opens nothing"
        refreshed = browser.post("/auth/refresh")
        assert refreshed.status_code == 200
        assert refreshed.json()["refresh_token"] is None
        assert refreshed.headers["set-cookie"] != cookie
        out = browser.post("/auth/logout")
        assert out.status_code == 204
        assert "max-age=0" in out.headers["set-cookie"].lower()
        assert_problem(browser.post("/auth/refresh"), 401)


def test_tokens_of_one_kind_are_never_tried_as_another(client: httpx2.Client, user: UserClient) -> None:
    for token in ("rdt_x", "rrt_x", user.refresh_token, "rpat_x"):
        assert_problem(client.get("/auth/me", headers={"Authorization": f"Bearer {token}"}), 401)
    assert_problem(client.get("/devices/whoami", headers={"X-Device-Token": user.access_token}), 401)
    assert_problem(client.get("/devices/whoami", headers=dict(user.headers)), 401)


def test_no_token_gets_into_the_log(server: RoostServer, client: httpx2.Client, email: str) -> None:
    start = server.log_size()
    session = login(client, email=email).json()
    client.get("/nothing", params={"token": session["access_token"]})
    client.get(f"/nothing/{session['access_token']}/{session['refresh_token']}")
    log = server.log_text(start)
    assert "/nothing" in log
    for secret in (session["access_token"], session["refresh_token"], PASSWORD):
        assert secret not in log


def test_the_administrator(server: RoostServer) -> None:
    with sign_in_admin(server) as admin:
        profile = admin.get("/auth/me").json()
    assert profile["username"] == "admin"
    assert profile["roles"] == ["admin", "owner"]
    assert "admin" in profile["scopes"]
    assert len(profile["organizations"]) == len(profile["homes"]) == 1
