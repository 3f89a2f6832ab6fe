"""The overview: figures that follow what happens, for the installation's staff and nobody else."""

import uuid
from collections.abc import Callable, Iterator
from time import time
from typing import Any

import httpx2
import pytest

from roost.core.clock import parse_time
from roost.ops.overview import ANSWER_KEPT_S
from tests.conftest import (
    DatabaseKind,
    FreshServer,
    RegisteredDevice,
    UserClient,
    register_device,
    register_user,
    sign_in_admin,
)
from tests.roost_server import RoostServer
from tests.waiting import wait_until


@pytest.fixture
def staff(server: RoostServer, admin: UserClient) -> Iterator[UserClient]:
    """Somebody who looks after the whole installation."""
    email, password = f"{uuid.uuid4().hex[:12]}@example.org", "Test1234!"
    made = admin.post("/admin/users", json={"email": email, "password": password, "role": "staff"})
    assert made.status_code == 201, made.text
    session = httpx2.post(
        f"{server.url}/auth/login",
        json={"email": email, "password": password},
        timeout=30,
        trust_env=False,
        verify=False,
    )
    with UserClient(server, email, password, session.json()) as somebody:
        yield somebody


def overview(caller: httpx2.Client) -> dict[str, Any]:
    answer = caller.get("/ops/overview")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wait_for(caller: httpx2.Client, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The first overview of which the condition is true; one is a second old at most."""

    def matching() -> dict[str, Any] | None:
        found = overview(caller)
        return found if condition(found) else None

    return wait_until(matching, timeout_s=10, what=what) or {}


def send(server: RoostServer, device: RegisteredDevice, *payloads: Any) -> list[int]:
    with httpx2.Client(
        base_url=server.url, headers=device.headers, timeout=30, trust_env=False, verify=False
    ) as sender:
        return [sender.post("/telemetry", json=payload).status_code for payload in payloads]


def house_of(caller: httpx2.Client, organization_id: int) -> dict[str, Any]:
    answer = caller.get("/ops/houses", params={"organization_id": organization_id})
    assert answer.status_code == 200, answer.text
    [house] = answer.json()
    found: dict[str, Any] = house
    return found


def test_what_happens_is_seen(server: RoostServer, staff: UserClient) -> None:
    # What is answered after this was gathered after `staff` was made.
    fresh_from_ms = round((time() + ANSWER_KEPT_S) * 1000)
    # This machine registers itself as a device a moment after the start.
    before = wait_for(
        staff,
        lambda found: found["devices"]["online"] > 0 and parse_time(found["time"]) > fresh_from_ms,
        "This machine's own device",
    )
    with register_user(server) as owner:
        silent, speaking = register_device(owner), register_device(owner)
        waiting = httpx2.post(
            f"{server.url}/devices/hello", json={"device_uid": f"new-{uuid.uuid4()}"}, trust_env=False, verify=False
        )
        assert waiting.status_code == 200, waiting.text
        assert send(server, speaking, {"t": 1}, {"t": 2}, {"t": {}, "e" * 70: 1}) == [201, 201, 422]
        was = before["devices"]
        # Who was heard for the first time is written a moment after the answer.
        after = wait_for(
            staff,
            lambda found: (
                (found["devices"]["total"], found["devices"]["never_seen"]) == (was["total"] + 2, was["never_seen"] + 1)
            ),
            "The new devices",
        )
        assert after["devices"]["unclaimed"] == was["unclaimed"] + 1
        assert after["devices"]["online"] >= 1
        devices = after["devices"]
        assert devices["total"] == devices["online"] + devices["offline"] + devices["never_seen"]
        assert after["users"] == before["users"] + 1
        assert after["organizations"] == before["organizations"] + 1
        assert after["homes"] == before["homes"] + 1
        # This machine's own device may have sent in between.
        ingest = after["ingest"]
        assert ingest["accepted_total"] >= before["ingest"]["accepted_total"] + 2
        assert ingest["refused_total"] == before["ingest"]["refused_total"] + 1
        assert sum(ingest["refused_by_code"].values()) == ingest["refused_total"]
        assert ingest["messages_per_second"] > 0
        assert ingest["messages_per_second_5m"] > 0
        assert ingest["refused_5m"] >= 1
        assert parse_time(ingest["last_stored_at"])
        assert after["backlog"] == {"messages": 0, "bytes": 0, "full": False}
        assert after["storage"]["database_bytes"] > 0
        assert after["storage"]["telemetry_bytes"] > 0
        assert 0 < after["storage"]["disk_free_bytes"] < after["storage"]["disk_total_bytes"]
        assert after["storage"]["forecast"]["full_at"] is None
        assert after["storage"]["forecast"]["detail"].startswith("Too early to say")
        assert after["process"]["memory_bytes"] > 10_000_000
        assert after["connections"]["requests"] >= 1

        owner.delete(f"/devices/{silent.id}")
        wait_for(
            staff,
            lambda found: found["devices"]["never_seen"] == before["devices"]["never_seen"],
            "The deletion of a device that never spoke",
        )


def test_houses_tell_how_each_home_is_doing(server: RoostServer, staff: UserClient) -> None:
    with register_user(server) as owner, register_user(server) as other:
        organization_id = owner.profile["id"] and owner.get("/auth/me").json()["organizations"][0]["id"]
        home_id = owner.get("/homes").json()[0]["id"]
        room = owner.post(f"/homes/{home_id}/rooms", json={"name": "Kitchen"}).json()
        owner.post("/residents", json={"full_name": "Ada", "home_id": home_id})
        speaking = register_device(owner, home_id=home_id, room_id=room["id"])
        register_device(owner, home_id=home_id)
        register_device(other)
        assert send(server, speaking, {"t": 1}, [{"t": 2}, {"t": 3}]) == [201, 201]
        # A device's own page knows a moment before the database does.
        wait_until(lambda: house_of(staff, organization_id)["devices"]["online"] == 1, what="Presence")

        house = house_of(staff, organization_id)
        assert house["id"] == home_id
        assert house["devices"] == {"total": 2, "online": 1, "offline": 0, "never_seen": 1}
        assert (house["rooms"], house["residents"], house["messages_today"]) == (1, 1, 3)
        assert parse_time(house["last_seen_at"])
        assert house["organization_name"]

        # The list holds everybody's homes, page by page, and finds one by its name.
        name = f"Cabin {uuid.uuid4().hex[:6]}"
        assert owner.post("/homes", json={"name": name}).status_code == 201
        found = staff.get("/ops/houses", params={"q": name[2:].upper()}).json()
        assert [one["name"] for one in found] == [name]
        assert found[0]["devices"]["total"] == 0
        assert found[0]["last_seen_at"] is None
        ids: list[int] = []
        page = staff.get("/ops/houses", params={"limit": 2})
        ids += [one["id"] for one in page.json()]
        while "X-Next-Cursor" in page.headers:
            page = staff.get("/ops/houses", params={"limit": 2, "cursor": page.headers["X-Next-Cursor"]})
            ids += [one["id"] for one in page.json()]
        assert ids == sorted(set(ids))
        assert {home_id, found[0]["id"], other.get("/homes").json()[0]["id"]} <= set(ids)


def test_who_may_look(server: RoostServer, client: httpx2.Client, staff: UserClient, user: UserClient) -> None:
    device = register_device(user)
    for path in ("/ops/overview", "/ops/houses"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=device.headers).status_code == 401
        assert user.get(path).status_code == 403
        assert staff.get(path).status_code == 200
        assert staff.get(path, params={"unknown": 1}).status_code == 422


def test_a_token_for_one_organization_sees_that_one_only(server: RoostServer, admin: UserClient) -> None:
    with register_user(server) as owner:
        owner_organization = owner.get("/auth/me").json()["organizations"][0]["id"]
        wanted = {"name": "watcher", "scopes": ["ops:read"], "organization_id": owner_organization}
        made = admin.post("/auth/api-tokens", json=wanted)
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        with httpx2.Client(
            base_url=f"{server.url}/api/v1", headers=headers, timeout=30, trust_env=False, verify=False
        ) as watcher:
            assert watcher.get("/ops/overview").status_code == 403
            houses = watcher.get("/ops/houses").json()
            assert {house["organization_id"] for house in houses} == {owner_organization}


def test_a_restart_does_not_forget_what_was_sent_today(fresh_server: FreshServer, database_kind: DatabaseKind) -> None:
    server = fresh_server(database_kind, ROOST_HOST_DEVICE="false")
    with sign_in_admin(server) as admin:
        organization_id = admin.get("/auth/me").json()["organizations"][0]["id"]
        device = register_device(admin)
        assert send(server, device, {"t": 1}, {"t": 2}) == [201, 201]
        assert house_of(admin, organization_id)["messages_today"] == 2
        server.stop()
        server.start()
        assert house_of(admin, organization_id)["messages_today"] == 2
        assert send(server, device, {"t": 3}) == [201]
        assert house_of(admin, organization_id)["messages_today"] == 3
