"""Reading, filtering and exporting the audit log over HTTP."""

import csv
import io
import json
from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.core.test_http import assert_problem
from tests.roost_server import RoostServer
from tests.waiting import wait_until


def organization_of(user: httpx2.Client) -> int:
    return int(user.get("/auth/me").json()["organizations"][0]["id"])


def own_log(user: httpx2.Client, **wanted: Any) -> list[dict[str, Any]]:
    answer = user.get(f"/organizations/{organization_of(user)}/audit", params=wanted)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def test_an_owner_sees_what_happened_in_the_organization(user: UserClient, device: RegisteredDevice) -> None:
    newest, *_, oldest = own_log(user)
    assert oldest["action"] == "user.registered"
    assert newest["action"] == "device.registered"
    assert (newest["actor_kind"], newest["actor_name"], newest["address"]) == ("user", user.email, "127.0.0.1")
    assert (newest["object_kind"], newest["object_id"]) == ("device", str(device.id))
    assert newest["details"]["device_uid"] == device.uid
    assert newest["request_id"]


def test_filters(user: UserClient, admin: UserClient, device: RegisteredDevice) -> None:
    user_id, organization_id = user.profile["id"], organization_of(user)
    registered = own_log(user, action="device.registered")[0]
    every_wanted: list[dict[str, Any]] = [
        {"actor_id": user_id, "action": "device."},
        {"actor": user.email[:8].upper(), "object_kind": "device"},
        {"object_kind": "device", "object_id": device.id},
        {"from": registered["at"], "object_kind": "device", "outcome": "success"},
        {"address": "127.0.0.1", "action": "device.reg"},
    ]
    for wanted in every_wanted:
        assert own_log(user, **wanted) == [registered], wanted
        found = admin.get("/ops/audit", params={**wanted, "organization_id": organization_id}).json()
        assert found == [registered], wanted
    for nothing in (
        {"to": own_log(user)[-1]["at"]},
        {"action": "%"},
        {"actor": "_@"},
        {"outcome": "failed"},
        {"from": "2100-01-01T00:00:00Z"},
    ):
        assert own_log(user, **nothing) == [], nothing


@pytest.mark.parametrize(
    "wanted", [{"from": "yesterday"}, {"outcome": "good"}, {"actor_id": "x"}, {"who": "me"}, {"object_id": ""}]
)
def test_filters_that_are_none(user: UserClient, wanted: dict[str, str]) -> None:
    assert_problem(user.get(f"/organizations/{organization_of(user)}/audit", params=wanted), 422)


def test_pages_go_back_in_time(user: UserClient) -> None:
    for _ in range(4):
        register_device(user)
    every = [entry["id"] for entry in own_log(user)]
    assert every == sorted(every, reverse=True)
    path, seen = f"/organizations/{organization_of(user)}/audit?limit=2", []
    while path:
        page = user.get(path)
        seen += [entry["id"] for entry in page.json()]
        link = page.headers.get("link", "")
        path = link[1 : link.index(">")].removeprefix("/api/v1") if link else ""
    assert seen == every


def test_who_may_read_what(server: RoostServer, client: httpx2.Client, user: UserClient, admin: UserClient) -> None:
    organization_id = organization_of(user)
    with register_user(server) as stranger:
        for suffix in ("", "/export"):
            path = f"/organizations/{organization_id}/audit{suffix}"
            assert_problem(stranger.get(path), 404, "organization_not_found")
            assert_problem(client.get(path), 401)
            assert admin.get(path).status_code == 200
            assert_problem(admin.get(f"/organizations/{2**50}/audit{suffix}"), 404)
            assert_problem(user.get(f"/ops/audit{suffix}"), 403, "missing_scope")
            assert_problem(client.get(f"/ops/audit{suffix}"), 401)
        refused = wait_until(lambda: own_log(stranger, outcome="refused"))
        assert {(one["object_kind"], one["object_id"]) for one in refused} == {("organization", str(organization_id))}
    assert {one["organization_id"] for one in own_log(user)} == {organization_id}


def test_a_refusal_says_who_wanted_what(user: UserClient, admin: UserClient) -> None:
    user.get("/devices/999999", headers={"X-Request-Id": "looking-for-it"})
    user.get("/ops/audit")
    wait_until(lambda: len(own_log(user, outcome="refused")) == 2)
    by_code = {entry["details"]["code"]: entry for entry in own_log(user, outcome="refused")}
    missing = by_code["device_not_found"]
    assert (missing["object_kind"], missing["object_id"]) == ("device", "999999")
    assert missing["request_id"] == "looking-for-it"
    assert missing["details"] == {
        "method": "GET", "path": "/api/v1/devices/999999", "status": 404, "code": "device_not_found",
    }  # fmt: skip
    assert by_code["missing_scope"]["actor_id"] == user.profile["id"]


def test_a_spreadsheet_takes_no_cell_for_a_formula(user: UserClient) -> None:
    evil = ['=HYPERLINK("http://evil.example")', "+1", "-1", "@SUM(A1)", "\tx", 'a,"b"\nc']
    for name in evil:
        register_device(user, name=name)
    answer = user.get(f"/organizations/{organization_of(user)}/audit/export", params={"action": "device.registered"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    names = [row["object_name"] for row in csv.DictReader(io.StringIO(answer.text, newline=""))]
    stored = [entry["object_name"] for entry in reversed(own_log(user, action="device.registered"))]
    assert names == [f"'{name}" if name[0] in "=+-@\t" else name for name in stored]
    assert sum(name.startswith("'") for name in names) >= 4


def test_an_export_has_every_entry_and_is_one(user: UserClient, admin: UserClient) -> None:
    organization_id = organization_of(user)
    before = own_log(user)
    answer = user.get(f"/organizations/{organization_id}/audit/export", params={"format": "jsonl"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[:-1] == before[::-1]
    assert lines[-1]["action"] == "audit.exported"
    assert lines[-1]["details"] == {"format": "jsonl", "filters": {}}
    wanted = {"format": "jsonl", "organization_id": organization_id, "actor_id": user.profile["id"]}
    everything = admin.get("/ops/audit/export", params=wanted)
    assert [json.loads(line)["id"] for line in everything.text.splitlines()] == [line["id"] for line in lines]
    assert_problem(user.get(f"/organizations/{organization_id}/audit/export", params={"format": "xml"}), 422)


def test_the_log_of_a_device(user: UserClient, client: httpx2.Client) -> None:
    """From its pairing to its end, everything that was done to it."""
    uid = register_device(user).uid + "-x"
    client.post("/devices/hello", json={"device_uid": uid})
    code = user.post("/pairing/start", json={"device_uid": uid}).json()["pairing_code"]
    paired = client.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code}).json()
    path = f"/devices/{paired['device_id']}"
    assert user.patch(path, json={"home_id": None}).status_code == 200
    assert user.patch(path, json={"name": "Boiler"}).status_code == 200
    assert user.post(f"{path}/token").status_code == 201
    assert user.delete(f"{path}/token").status_code == 204
    assert user.delete(path).status_code == 204
    log = own_log(user, object_kind="device", object_id=paired["device_id"])
    assert [(entry["action"], entry["actor_kind"]) for entry in reversed(log)] == [
        ("device.pairing_started", "user"),
        ("device.claimed", "device"),
        ("device.moved", "user"),
        ("device.token_rotated", "user"),
        ("device.token_revoked", "user"),
        ("device.deleted", "user"),
    ]
    assert log[0]["object_name"] == "Boiler"


def test_sessions(client: httpx2.Client, user: UserClient) -> None:
    assert client.post("/auth/refresh", json={"refresh_token": user.refresh_token}).status_code == 200
    assert client.post("/auth/refresh", json={"refresh_token": user.refresh_token}).status_code == 401
    signed_in = client.post("/auth/login", json={"email": user.email, "password": user.password}).json()
    user.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
    assert client.post("/auth/login", json={"email": user.email, "password": "wrong"}).status_code == 401
    wait_until(lambda: own_log(user, action="user.sign_in_refused"))
    log = [(entry["action"], entry["outcome"]) for entry in own_log(user, action="user.")]
    assert log == [
        ("user.sign_in_refused", "refused"),
        ("user.signed_in", "success"),
        ("user.refresh_token_reused", "refused"),
        ("user.signed_in", "success"),
        ("user.registered", "success"),
    ]
    assert client.post("/auth/logout", json={"refresh_token": signed_in["refresh_token"]}).status_code == 204
    again = client.post("/auth/login", json={"email": user.email, "password": user.password}).json()
    user.headers["Authorization"] = f"Bearer {again['access_token']}"
    assert own_log(user, action="user.signed_out")[0]["actor_id"] == user.profile["id"]
