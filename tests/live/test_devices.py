"""What is seen live of a device beside its readings: its shadow and its log."""

import httpx2

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.live.conftest import OpenLive
from tests.roost_server import RoostServer


def test_a_shadow_is_followed(
    open_live: OpenLive, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    live = open_live("/ws/device-shadow", user.access_token)
    path = f"/devices/{device.id}/shadow"
    user.put(path, json={"desired": {"a": 1, "b": 2}})
    frame = live.receive()
    assert frame.pop("changed_at").endswith("Z")
    assert frame == {
        "type": "shadow", "device_id": device.id, "side": "desired", "patch": {"a": 1, "b": 2},
        "delta": {"a": 1, "b": 2}, "desired_version": 1, "reported_version": 0, "delta_version": 1,
    }  # fmt: skip
    client.patch(path, json={"reported": {"a": 1}}, headers=device.headers)
    assert live.receive()["side"] == "reported"


def test_a_log_is_followed_line_by_line(
    open_live: OpenLive, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    other = register_device(user)
    one = open_live(f"/ws/device-logs?device_id={device.id}", user.access_token)
    every = open_live("/ws/device-logs", user.access_token)
    client.post(f"/devices/{other.id}/logs", json={"message": "elsewhere"}, headers=other.headers)
    lines = [{"level": "error", "message": "Hot", "timestamp": "2026-03-01T12:00:00Z"}, {"message": "Cold"}]
    client.post(f"/devices/{device.id}/logs", json=lines, headers=device.headers)
    stored = user.get(f"/devices/{device.id}/logs").json()[::-1]
    for line in stored:
        assert one.receive() == {"type": "log", "device_id": device.id, **line}
    assert [every.receive()["message"] for _ in range(3)] == ["elsewhere", "Hot", "Cold"]


def test_strangers_see_nothing(
    open_live: OpenLive, server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    with register_user(server) as stranger:
        sockets = [open_live(f"/ws/device-{kind}", stranger.access_token) for kind in ("shadow", "logs")]
        client.post(f"/devices/{device.id}/logs", json={"message": "x"}, headers=device.headers)
        user.put(f"/devices/{device.id}/shadow", json={"desired": {"a": 1}})
        for live in sockets:
            live.send({"type": "ping"})
            assert live.receive() == {"type": "pong"}
