"""Whoever may see less hears less, at once: nothing is sent between a change of grants and a look at what is left."""

import httpx2

from tests.colleagues import join, own_organization
from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.live.conftest import OpenLive
from tests.roost_server import RoostServer


def say(server: RoostServer, device: RegisteredDevice) -> None:
    answer = httpx2.post(
        f"{server.url}/api/v1/telemetry", json={"n": 1}, headers=device.headers, trust_env=False, verify=False
    )
    assert answer.status_code == 201, answer.text


def test_a_removed_member_hears_nothing_more(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    organization_id, home_id = own_organization(user)
    device = register_device(user, home_id=home_id)
    with join(server, user, organization_id, "viewer") as member:
        live = open_live("/ws/live-data", member.access_token)
        say(server, device)
        assert live.receive()["device_id"] == device.id
        member_id = member.profile["id"]
        assert user.delete(f"/organizations/{organization_id}/members/{member_id}").status_code == 204
        say(server, device)
        assert live.closing()[0] == 4403


def test_what_is_left_goes_on(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    organization_id, home_id = own_organization(user)
    device = register_device(user, home_id=home_id)
    with join(server, user, organization_id, "owner") as member:
        own_id = member.post("/organizations", json={"name": "Mine"}).json()["id"]
        own_home = member.post("/homes", json={"name": "Cabin", "organization_id": own_id}).json()["id"]
        own = register_device(member, home_id=own_home)
        live = open_live("/ws/live-data", member.access_token)
        narrow = open_live(f"/ws/live-data?device_id={device.id}", member.access_token)
        assert user.delete(f"/organizations/{organization_id}/members/{member.profile['id']}").status_code == 204
        assert narrow.closing()[0] == 4404
        say(server, device)
        say(server, own)
        assert live.receive()["device_id"] == own.id


def test_more_rights_reach_an_open_socket(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    organization_id, home_id = own_organization(user)
    device = register_device(user, home_id=home_id)
    with join(server, user, organization_id, "technician", [home_id]) as technician:
        live = open_live("/ws/live-data", technician.access_token)
        away = user.post("/homes", json={"name": "Cabin", "organization_id": organization_id}).json()["id"]
        remote = register_device(user, home_id=away)
        say(server, remote)
        say(server, device)
        assert live.receive()["device_id"] == device.id
        change = user.patch(
            f"/organizations/{organization_id}/members/{technician.profile['id']}", json={"role": "viewer"}
        )
        assert change.status_code == 200, change.text
        live.send({"type": "ping"})
        assert live.receive() == {"type": "pong"}
        say(server, remote)
        assert live.receive_until("telemetry")["device_id"] == remote.id


def test_a_deactivated_member_is_sent_away(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    organization_id, _ = own_organization(user)
    with join(server, user, organization_id, "viewer") as member:
        live = open_live("/ws/device-status", member.access_token)
        assert user.patch(f"/users/{member.profile['id']}", json={"is_active": False}).status_code == 200
        assert live.closing()[0] == 4401
        assert member.get("/devices").status_code == 401
