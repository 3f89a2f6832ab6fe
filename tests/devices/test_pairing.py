"""How a device joins, through a real server."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import UserClient, register_user
from tests.roost_server import RoostServer


@pytest.fixture
def uid() -> str:
    """A uid that no other test uses."""
    return f"pair-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def stranger(server: RoostServer) -> Iterator[UserClient]:
    """Somebody of another organization."""
    with register_user(server) as somebody:
        yield somebody


def hello(client: httpx2.Client, uid: str, **fields: Any) -> httpx2.Response:
    return client.post("/devices/hello", json={"device_uid": uid, **fields})


def start(user: httpx2.Client, uid: str, **fields: Any) -> str:
    answer = user.post("/pairing/start", json={"device_uid": uid, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["pairing_code"])


def confirm(client: httpx2.Client, uid: str, code: str, **fields: Any) -> httpx2.Response:
    return client.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code, **fields})


def wrong(code: str) -> str:
    return ("2" if code[0] != "2" else "3") + code[1:]


def refused(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_device_joins_and_gets_its_token_once(client: httpx2.Client, user: UserClient, uid: str) -> None:
    said = hello(client, uid, firmware_version="1.0.0", capabilities={"wifi": True}).json()
    assert (said["device_uid"], said["claimed"]) == (uid, False)
    assert said["retry_after_s"] > 0
    code = start(user, uid)
    paired = confirm(client, uid, code)
    assert paired.status_code == 200
    token = paired.json()["device_token"]
    assert paired.json()["device_id"] == said["device_id"]
    refused(confirm(client, uid, code), 409, "pairing_code_used")
    device = user.get(f"/devices/{said['device_id']}").json()
    assert (device["firmware_version"], device["capabilities"]) == ("1.0.0", {"wifi": True})
    assert device["home_id"] is not None
    assert device["claimed_at"] is not None
    for headers in ({"X-Device-Token": token}, {"Authorization": f"Bearer {token}"}):
        assert client.get("/devices/whoami", headers=headers).json()["device_id"] == said["device_id"]
    assert hello(client, uid).json()["claimed"] is True


def test_a_code_may_be_typed_any_way(client: httpx2.Client, user: UserClient, uid: str) -> None:
    hello(client, uid)
    code = start(user, uid)
    assert confirm(client, uid, f" {code.lower().replace('-', ' ')} ").status_code == 200


def test_what_is_wrong_with_a_start_is_said(
    client: httpx2.Client, user: UserClient, stranger: UserClient, uid: str
) -> None:
    assert client.post("/pairing/start", json={"device_uid": uid}).status_code == 401
    refused(user.post("/pairing/start", json={"device_uid": uid}), 404, "device_not_found")
    hello(client, uid)
    home_id = stranger.get("/users/me").json()["homes"][0]["id"]
    refused(user.post("/pairing/start", json={"device_uid": uid, "home_id": home_id}), 404, "home_not_found")
    confirm(client, uid, start(user, uid))
    refused(stranger.post("/pairing/start", json={"device_uid": uid}), 409, "already_claimed")


def test_an_expired_code_is_gone(client: httpx2.Client, user: UserClient, uid: str) -> None:
    hello(client, uid)
    code = start(user, uid, expires_in_s=1)
    threading.Event().wait(1.05)
    refused(confirm(client, uid, code), 410, "pairing_code_expired")
    assert confirm(client, uid, start(user, uid)).status_code == 200


def test_five_wrong_tries_burn_a_code(client: httpx2.Client, user: UserClient, uid: str) -> None:
    hello(client, uid)
    code = start(user, uid)
    for _ in range(4):
        refused(confirm(client, uid, wrong(code)), 404, "pairing_code_wrong")
    last = confirm(client, uid, wrong(code))
    refused(last, 429, "pairing_code_burnt")
    assert int(last.headers["Retry-After"]) > 0
    refused(confirm(client, uid, code), 410, "pairing_code_burnt")
    assert confirm(client, uid, start(user, uid)).status_code == 200


def test_a_new_code_replaces_the_old(client: httpx2.Client, user: UserClient, uid: str) -> None:
    hello(client, uid)
    old, new = start(user, uid), start(user, uid)
    refused(confirm(client, uid, old), 404, "pairing_code_wrong")
    assert confirm(client, uid, new).status_code == 200


def test_a_device_without_hello_or_code_has_nothing_to_confirm(client: httpx2.Client, uid: str) -> None:
    refused(confirm(client, uid, "7K3M-Q2XD"), 404, "pairing_code_wrong")
    hello(client, uid)
    refused(confirm(client, uid, "7K3M-Q2XD"), 404, "pairing_code_wrong")


def test_of_many_confirms_at_once_exactly_one_wins(server: RoostServer, user: UserClient, uid: str) -> None:
    answers: list[int] = []
    with httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False, timeout=30) as client:
        hello(client, uid)
        code, together = start(user, uid), threading.Barrier(8)

        def try_it() -> None:
            together.wait()
            answers.append(confirm(client, uid, code).status_code)

        threads = [threading.Thread(target=try_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200] + [409] * 7


def test_nobody_claims_a_device_by_knowing_its_uid(client: httpx2.Client, stranger: UserClient, uid: str) -> None:
    key = "kept by the device alone"
    hello(client, uid, pairing_key_hash=hashlib.sha256(key.encode()).hexdigest())
    code = start(stranger, uid)
    refused(confirm(client, uid, code), 403, "pairing_key_mismatch")
    refused(confirm(client, uid, code, pairing_key="a guess"), 403, "pairing_key_mismatch")
    # Nor does a later hello take the key's place.
    refused(hello(client, uid, pairing_key_hash="0" * 64), 409, "pairing_key_mismatch")
    assert hello(client, uid).status_code == 200
    refused(confirm(client, uid, code), 403, "pairing_key_mismatch")
    assert confirm(client, uid, code, pairing_key=key).status_code == 200


def test_a_repeated_start_makes_one_code_and_does_not_show_it_again(
    client: httpx2.Client, user: UserClient, uid: str
) -> None:
    hello(client, uid)
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = user.post("/pairing/start", json={"device_uid": uid}, headers=headers)
    again = user.post("/pairing/start", json={"device_uid": uid}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["pairing_code"] is None
    assert again.json()["expires_at"] == first.json()["expires_at"]
    assert confirm(client, uid, first.json()["pairing_code"]).status_code == 200


def test_an_anonymous_hello_changes_nothing_about_a_claimed_device(
    client: httpx2.Client, user: UserClient, uid: str
) -> None:
    device_id = hello(client, uid, firmware_version="1.0.0").json()["device_id"]
    token = confirm(client, uid, start(user, uid)).json()["device_token"]
    assert hello(client, uid, firmware_version="6.6.6", capabilities={"evil": True}).json()["claimed"] is True
    assert user.get(f"/devices/{device_id}").json()["firmware_version"] == "1.0.0"
    own = {"device_uid": uid, "firmware_version": "1.1.0", "capabilities": {"wifi": True}}
    assert client.post("/devices/hello", json=own, headers={"X-Device-Token": token}).status_code == 200
    device = user.get(f"/devices/{device_id}").json()
    assert (device["firmware_version"], device["capabilities"]) == ("1.1.0", {"wifi": True})
    other = {"device_uid": f"{uid}-other"}
    assert client.post("/devices/hello", json=other, headers={"X-Device-Token": token}).status_code == 403
    assert client.post("/devices/hello", json=own, headers={"X-Device-Token": token[:-1] + "_"}).status_code == 401


def test_a_bad_uid_is_refused(client: httpx2.Client) -> None:
    for bad in ("ab", "123456", "with space", "a" * 65, "semi;colon", "ünï", "a/b", "line\n1"):
        assert hello(client, bad).status_code == 422, bad


def test_capabilities_that_cannot_be_kept_are_refused(client: httpx2.Client, uid: str) -> None:
    too_large, too_deep = '{"a": "' + "x" * 17_000 + '"}', '{"a":' * 3000 + "1" + "}" * 3000
    for capabilities in ('{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', too_large, too_deep):
        body = f'{{"device_uid": "{uid}", "capabilities": {capabilities}}}'
        answer = client.post("/devices/hello", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, capabilities[:20]
