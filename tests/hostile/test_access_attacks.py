"""Attacks on who may see and do what: a clear answer, nothing changed, and one line in the audit log."""

import http.client
import json
import re
import socket
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.conftest import UserClient, new_hub, register_device, register_user, sign_in_admin
from tests.core.test_http import assert_problem
from tests.live.conftest import bearer, connect_live
from tests.migrated_databases import MigratedDatabases
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import wait_until

SECRET = "the key that an attacker does not have, or does"
NOT_AUTHORIZED, BAD_PASSWORD = 0x87, 0x86


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabases) -> Iterator[RoostServer]:
    """A hub of our own: among the refusals of other tests nobody could count ours."""
    server = new_hub(tmp_path_factory.mktemp("attacked"), "sqlite", migrated, {"ROOST_SECRET_KEY": SECRET}).start()
    yield server
    server.stop()
    server.assert_no_complaints()


@pytest.fixture
def operator(hub: RoostServer) -> Iterator[UserClient]:
    """Who looks into the audit log."""
    with sign_in_admin(hub) as administrator:
        yield administrator


@pytest.fixture
def victim(hub: RoostServer) -> Iterator[UserClient]:
    """Somebody with things that others want."""
    with register_user(hub) as somebody:
        yield somebody


@pytest.fixture
def attacker(hub: RoostServer) -> Iterator[UserClient]:
    """Somebody else, registered like everybody."""
    with register_user(hub) as somebody:
        yield somebody


@pytest.fixture
def outside(hub: RoostServer) -> Iterator[httpx2.Client]:
    """Somebody without any credential."""
    with httpx2.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False, verify=False) as anonymous:
        yield anonymous


class Watched:
    """The audit log from here on."""

    def __init__(self, operator: UserClient) -> None:
        self._operator = operator
        self._from_id = operator.get("/ops/audit", params={"limit": 1}).json()[0]["id"]

    def refusals(self) -> list[dict[str, Any]]:
        """The refusals since then."""
        entries = self._operator.get("/ops/audit", params={"outcome": "refused"}).json()
        return [entry for entry in entries if entry["id"] > self._from_id]

    def one_line(self) -> dict[str, Any]:
        """The one refusal since then."""
        wait_until(self.refusals)
        [line] = self.refusals()
        return line


@pytest.fixture
def watched(operator: UserClient, victim: UserClient, attacker: UserClient) -> Watched:
    """Everybody is there; what is refused from now on is the attack."""
    return Watched(operator)


def _claims(user: UserClient, **other: Any) -> dict[str, Any]:
    now = int(time.time())
    payload = user.access_token.split(".")[1]
    issued = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {**issued, "iat": now, "exp": now + 900, **other}


def _signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"alg": algorithm, "typ": "JWT"}, claims, OctKey.import_key(secret), algorithms=[algorithm])


def _unsigned(claims: dict[str, Any], algorithm: str) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims))
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


# Each is tried at an address of its own, since the same refusal again would only be counted.
FORGED: dict[str, tuple[str, str]] = {
    "of another issuer": ("/auth/me", "invalid_token"),
    "for another audience": ("/users/me", "invalid_token"),
    "signed with another key": ("/devices", "invalid_token"),
    "signed with another algorithm": ("/homes", "invalid_token"),
    "alg none": ("/telemetry", "invalid_token"),
    "alg None": ("/events", "invalid_token"),
    "expired": ("/organizations", "token_expired"),
    "issued in the future": ("/residents", "token_not_yet_valid"),
    "not valid before tomorrow": ("/assignments", "token_not_yet_valid"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_token_opens_nothing(outside: httpx2.Client, victim: UserClient, watched: Watched, kind: str) -> None:
    now = int(time.time())
    token = {
        "of another issuer": lambda: _signed(_claims(victim, iss="someone")),
        "for another audience": lambda: _signed(_claims(victim, aud="others")),
        "signed with another key": lambda: _signed(_claims(victim), "x" * 43),
        "signed with another algorithm": lambda: _signed(_claims(victim), SECRET, "HS512"),
        "alg none": lambda: _unsigned(_claims(victim), "none"),
        "alg None": lambda: _unsigned(_claims(victim), "None"),
        "expired": lambda: _signed(_claims(victim, iat=now - 1000, exp=now - 100)),
        "issued in the future": lambda: _signed(_claims(victim, iat=now + 100)),
        "not valid before tomorrow": lambda: _signed(_claims(victim, nbf=now + 86_400)),
    }[kind]()
    path, code = FORGED[kind]
    answer = outside.get(path, headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401, code)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    line = watched.one_line()
    assert (line["actor_kind"], line["details"]["code"]) == ("anonymous", code)
    assert token not in json.dumps(line)


def test_a_token_made_with_the_key_is_good(outside: httpx2.Client, victim: UserClient) -> None:
    """The forgeries fail because of what is wrong with each, not because all of them are."""
    answer = outside.get("/auth/me", headers={"Authorization": f"Bearer {_signed(_claims(victim))}"})
    assert answer.json()["email"] == victim.email


def test_another_users_session_in_a_token(
    outside: httpx2.Client, victim: UserClient, attacker: UserClient, watched: Watched
) -> None:
    token = _signed(_claims(attacker, sub=str(victim.profile["id"])))
    assert_problem(outside.get("/auth/me", headers={"Authorization": f"Bearer {token}"}), 401, "session_ended")
    assert watched.one_line()["details"]["code"] == "session_ended"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address")
def test_guessing_a_password_does_not_lock_the_owner_out(
    hub: RoostServer, victim: UserClient, watched: Watched
) -> None:
    elsewhere = httpx2.HTTPTransport(local_address="127.0.0.2")
    with httpx2.Client(
        base_url=f"{hub.url}/api/v1", transport=elsewhere, timeout=30, trust_env=False, verify=False
    ) as guesser:
        answers = [
            guesser.post("/auth/login", json={"email": victim.email, "password": f"guess {number}"})
            for number in range(8)
        ]
        assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 2
        assert_problem(answers[-1], 429, "too_many_failures")
        right = {"email": victim.email, "password": victim.password}
        assert guesser.post("/auth/login", json=right).status_code == 429
        assert httpx2.post(f"{hub.url}/api/v1/auth/login", json=right, timeout=30).status_code == 200
    wait_until(lambda: len(watched.refusals()) == 2)
    lines = watched.refusals()
    assert {line["action"] for line in lines} == {"user.sign_in_refused"}
    assert {line["object_id"] for line in lines} == {str(victim.profile["id"])}
    assert {line["address"] for line in lines} == {"127.0.0.2"}
    assert {line["details"]["code"] for line in lines} == {"wrong_credentials", "too_many_failures"}


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address")
def test_trying_one_password_with_many_names(hub: RoostServer, watched: Watched) -> None:
    elsewhere = httpx2.HTTPTransport(local_address="127.0.0.3")
    with httpx2.Client(
        base_url=f"{hub.url}/api/v1", transport=elsewhere, timeout=30, trust_env=False, verify=False
    ) as guesser:
        for number in range(70):
            answer = guesser.post("/auth/login", json={"email": f"{number}@example.org", "password": "Summer-2026"})
            if answer.status_code == 429:
                break
        assert_problem(answer, 429, "too_many_failures")
    wait_until(watched.refusals)
    assert len(watched.refusals()) < 30, "the log must not grow with every guess"


def test_names_are_not_given_away(outside: httpx2.Client, victim: UserClient) -> None:
    answers = [
        outside.post("/auth/login", json={"email": email, "password": "not it"})
        for email in (victim.email, "nobody@example.org")
    ]
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].json() == answers[1].json()


def test_ids_are_not_given_away(victim: UserClient, attacker: UserClient, watched: Watched) -> None:
    theirs = register_device(victim)
    home = victim.get("/homes").json()[0]["id"]
    organization = victim.get("/auth/me").json()["organizations"][0]["id"]
    nothing = 2**50
    for path, real in (
        ("/devices/{}", theirs.id),
        ("/devices/{}/logs", theirs.id),
        ("/devices/{}/readings/latest", theirs.id),
        ("/homes/{}", home),
        ("/organizations/{}", organization),
        ("/organizations/{}/audit", organization),
    ):
        seen, missing = (attacker.get(path.format(number)) for number in (real, nothing))
        assert seen.status_code == missing.status_code == 404, path
        # Whole numbers: a device 4 must not be found in a 404.
        shapes = [re.sub(rf"\b{number}\b", "#", answer.text) for answer, number in ((seen, real), (missing, nothing))]
        assert shapes[0] == shapes[1]
    assert attacker.delete(f"/devices/{theirs.id}").status_code == 404
    assert victim.get(f"/devices/{theirs.id}").status_code == 200

    def lines() -> list[dict[str, Any]]:
        # What an earlier test was refused may be written down only now.
        return [line for line in watched.refusals() if line["actor_id"] == attacker.profile["id"]]

    wait_until(lambda: len(lines()) == 13)
    assert {line["object_kind"] for line in lines()} == {"device", "home", "organization"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/me", {"role": "admin"}),
        ("PATCH", "/users/me", {"full_name": "Mallory", "is_active": True, "scopes": ["admin"]}),
        ("POST", "/auth/register", {"email": "mallory@example.org", "password": "Test1234!", "role": "admin"}),
        ("POST", "/devices", {"name": "Boiler", "id": 1}),
    ],
)
def test_nobody_gives_themselves_rights(
    attacker: UserClient, watched: Watched, method: str, path: str, body: dict[str, Any]
) -> None:
    before = attacker.get("/auth/me").json()
    answer = attacker.request(method, path, json=body)
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["pointer"].lstrip("/") in body
    assert attacker.get("/auth/me").json() == before
    line = watched.one_line()
    assert set(line["details"]["fields"]) <= set(body)
    assert line["details"]["path"] == f"/api/v1{path}"


def test_a_page_of_another_origin(victim: UserClient, watched: Watched) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    answer = victim.request("OPTIONS", "/devices/1", headers=asked)
    assert_problem(answer, 403, "origin_not_allowed")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert watched.one_line()["details"]["origin"] == "https://evil.example"
    read = victim.get("/devices", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in read.headers


def test_a_form_on_another_site_signs_nobody_in(outside: httpx2.Client, attacker: UserClient, watched: Watched) -> None:
    """It would work without a preflight, and leave the visitor signed in as somebody else."""
    body = json.dumps({"email": attacker.email, "password": attacker.password, "cookie": True})
    headers = {"Content-Type": "text/plain", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = outside.post("/auth/login", content=body, headers=headers)
    assert_problem(answer, 403, "origin_not_allowed")
    assert "set-cookie" not in answer.headers
    assert watched.one_line()["details"]["code"] == "origin_not_allowed"


def test_a_huge_body(outside: httpx2.Client, watched: Watched) -> None:
    answer = outside.post("/auth/register", content=b" " * (2 * 1024 * 1024))
    assert_problem(answer, 413, "too_large")
    assert watched.one_line()["details"]["status"] == 413


@pytest.mark.soak
def test_a_slow_body(hub: RoostServer, watched: Watched) -> None:
    with socket.create_connection(("127.0.0.1", hub.port), timeout=45) as connection:
        connection.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 408
    assert watched.one_line()["details"]["code"] == "request_timeout"


def test_a_live_socket_onto_what_is_anothers(
    hub: RoostServer, victim: UserClient, attacker: UserClient, watched: Watched
) -> None:
    theirs = register_device(victim)
    path = f"/api/v1/ws/live-data?device_id={theirs.id}"
    for token, code in ((attacker.access_token, 4404), (attacker.access_token + "x", 4401)):
        with connect_live(hub, path, subprotocols=bearer(token)) as live:
            assert live.closing()[0] == code
    wait_until(lambda: len(watched.refusals()) == 2)
    bad, foreign = watched.refusals()
    assert (bad["actor_kind"], bad["details"]["code"]) == ("anonymous", 4401)
    assert (foreign["actor_id"], foreign["details"]["code"]) == (attacker.profile["id"], 4404)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one loopback address")
def test_a_stolen_token_is_noticed_by_where_it_comes_from(
    hub: RoostServer, victim: UserClient, operator: UserClient
) -> None:
    device = register_device(victim)
    victim.post("/telemetry", headers=device.headers, json={"a": 1})
    thief = httpx2.HTTPTransport(local_address="127.0.0.4")
    with httpx2.Client(
        base_url=f"{hub.url}/api/v1", transport=thief, timeout=30, trust_env=False, verify=False
    ) as elsewhere:
        for _ in range(3):
            assert elsewhere.post("/telemetry", headers=device.headers, json={"a": 1}).status_code == 201
            assert elsewhere.get("/auth/me", headers=dict(victim.headers)).status_code == 200

    def told() -> set[tuple[str, int]]:
        entries = operator.get("/ops/audit", params={"address": "127.0.0.4"}).json()
        assert len({entry["action"] for entry in entries}) == len(entries), "each is told once"
        return {(entry["action"], entry["actor_id"]) for entry in entries}

    wait_until(lambda: len(told()) == 2)
    assert told() == {
        ("user.active_from_new_address", victim.profile["id"]),
        ("device.used_from_new_address", device.id),
    }


async def test_over_mqtt(hub: RoostServer, victim: UserClient, attacker: UserClient, operator: UserClient) -> None:
    theirs, own = register_device(victim), register_device(attacker)
    watched = Watched(operator)
    stranger, device, reader = [await RawClient.open(hub.mqtt_port) for _ in range(3)]
    refused = await stranger.sign_in("rdt_" + "x" * 43, 5, user_name=theirs.uid)
    assert refused.reason == BAD_PASSWORD
    assert (await device.sign_in(own.token, 5, user_name=own.uid)).reason == 0
    await device.send(wire.publish(f"devices/{theirs.id}/telemetry", b'{"a": 1}', 1, version=5))
    assert (await device.receive()).reason == NOT_AUTHORIZED
    assert (await reader.sign_in(attacker.access_token, 5)).reason == 0
    await reader.send(wire.subscribe(f"devices/{theirs.id}/telemetry", version=5))
    assert (await reader.receive()).codes[-1] == NOT_AUTHORIZED
    for client in (stranger, device, reader):
        await client.close()
    wait_until(lambda: len(watched.refusals()) == 3)
    lines = {line["action"]: line for line in watched.refusals()}
    assert lines["mqtt.connect_refused"]["object_name"] == theirs.uid
    assert lines["mqtt.publish_refused"]["actor_id"] == own.id
    assert lines["mqtt.subscribe_refused"]["actor_id"] == attacker.profile["id"]
    assert victim.get(f"/devices/{theirs.id}/telemetry/recent").json() == []


def test_after_all_of_it_the_log_is_intact(hub: RoostServer) -> None:
    checked = hub.run_command("audit", "verify")
    assert (checked.returncode, checked.stderr) == (0, "")
