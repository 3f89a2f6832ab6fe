"""`roost seed`: a demonstration that can be made, made anew, and never touches what is not its own."""

import re
from typing import Any

import httpx2
import pytest

from tests.conftest import DatabaseKind, FreshServer, UserClient, register_device, register_user, sign_in_admin
from tests.roost_server import RoostServer
from tests.waiting import wait_until

PASSWORD = "Tall-Chimney-43"
PEOPLE = ("admin", "owner", "technician", "staff")


def sign_in(server: RoostServer, role: str, password: str = PASSWORD) -> UserClient:
    credentials = {"identifier": f"{role}@roost.example", "password": password}
    answer = httpx2.post(f"{server.url}/api/v1/auth/login", json=credentials, timeout=30, trust_env=False, verify=False)
    assert answer.status_code == 200, answer.text
    return UserClient(server, credentials["identifier"], password, answer.json())


def seeded(server: RoostServer, *flags: str) -> str:
    done = server.run_command("seed", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def hub(fresh_server: FreshServer, database_kind: DatabaseKind) -> RoostServer:
    """A running hub that nobody uses yet, but whose machine is a device."""
    return fresh_server(database_kind)


def test_everybody_finds_what_is_theirs(hub: RoostServer) -> None:
    shown = seeded(hub, "--password", PASSWORD)
    with sign_in(hub, "owner") as owner:
        homes = owner.get("/homes").json()
        assert len(homes) == 2
        rooms = [room for home in homes for room in owner.get(f"/homes/{home['id']}/rooms").json()]
        assert len(rooms) == 4
        devices = owner.get("/devices").json()
        assert len(devices) == 4
        assert {device["room_id"] for device in devices} == {room["id"] for room in rooms}
        residents = owner.get("/residents").json()
        assert {resident["home_id"] for resident in residents} == {home["id"] for home in homes}
    with sign_in(hub, "technician") as technician:
        assert len(technician.get("/assignments").json()) == 2
        assert len(technician.get("/devices").json()) == 4
        assert technician.get("/ops/overview").status_code == 403
    with sign_in(hub, "staff") as staff:
        # With this machine; the overview is counted every few seconds.
        wait_until(lambda: staff.get("/ops/overview").json()["devices"]["total"] == 5, what="Five devices")
        assert {home["id"] for home in homes} <= {house["id"] for house in staff.get("/ops/houses").json()}
    with sign_in(hub, "admin") as admin:
        assert admin.get("/admin/users").status_code == 200
        said = [entry for entry in admin.get("/ops/audit").json() if entry["action"] == "organization.seeded"]
        assert [entry["actor_kind"] for entry in said] == ["system"]
    # The tokens that were shown are good.
    for device in devices:
        token = re.search(rf"{device['device_uid']}\s+(rdt_\S+)", shown)
        assert token is not None, shown
        headers = {"X-Device-Token": token[1]}
        who = httpx2.get(f"{hub.url}/devices/whoami", headers=headers, trust_env=False, verify=False)
        assert who.json()["device_id"] == device["id"]


def test_a_second_time_changes_nothing_and_force_begins_anew(hub: RoostServer) -> None:
    seeded(hub, "--password", PASSWORD)
    again = seeded(hub)
    assert "nothing was changed" in again
    assert "owner@roost.example" in again
    with sign_in(hub, "owner") as owner:
        before: list[dict[str, Any]] = owner.get("/devices").json()
        # What its people made for themselves alone goes with them.
        own = owner.post("/organizations", json={"name": "On the side"}).json()
        shown = seeded(hub, "--force")
        password = re.search(r"with the password (\S+) as", shown)
        assert password is not None
        assert owner.get("/devices").status_code == 401
    with sign_in(hub, "owner", password[1]) as owner:
        after = owner.get("/devices").json()
        assert [device["device_uid"] for device in after] == [device["device_uid"] for device in before]
        assert not {device["id"] for device in after} & {device["id"] for device in before}
    with sign_in_admin(hub) as admin:
        assert admin.get(f"/organizations/{own['id']}").status_code == 404
        assert len([one for one in admin.get("/organizations").json() if one["name"] == "Roost demonstration"]) == 1
        assert len([one for one in admin.get("/devices").json() if one["type"] == "hub"]) == 1
    assert hub.run_command("audit", "verify").returncode == 0


def test_a_hub_in_use_is_left_alone(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_HOST_DEVICE="false")
    with register_user(server) as somebody:
        device = register_device(somebody)
        refused = server.run_command("seed")
        assert refused.returncode == 1
        assert "in use" in refused.stderr
        assert "Traceback" not in refused.stderr
        with sign_in_admin(server) as admin:
            assert admin.get("/users", params={"q": "roost.example"}).json() == []
        seeded(server, "--force", "--password", PASSWORD)
        assert [one["id"] for one in somebody.get("/devices").json()] == [device.id]
        seeded(server, "--force", "--password", PASSWORD)
        assert [one["id"] for one in somebody.get("/devices").json()] == [device.id]
    with sign_in(server, "technician") as technician:
        assert len(technician.get("/assignments").json()) == 2


def test_before_the_first_start(fresh_server: FreshServer) -> None:
    server = fresh_server(start=False, ROOST_ADMIN_PASSWORD="", ROOST_HOST_DEVICE="false")
    shown = seeded(server)
    own = re.search(rf"The administrator is {server.admin_email}, the password (\S+)", shown)
    assert own is not None, shown
    server.start()
    server.admin_password = own[1]
    assert "The administrator is" not in server.log_text()
    with sign_in_admin(server) as admin:
        users = admin.get("/admin/users").json()
        assert {one["email"] for one in users} == {server.admin_email, *(f"{role}@roost.example" for role in PEOPLE)}


def test_a_weak_password_is_refused(fresh_server: FreshServer) -> None:
    done = fresh_server(start=False).run_command("seed", "--password", "short")
    assert done.returncode == 1
    assert "8 characters" in done.stderr
