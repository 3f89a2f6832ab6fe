"""Health through a running server: what is known comes together from all rooms."""

import httpx2

from tests.conftest import RegisteredDevice, UserClient, register_device


def test_what_is_wrong_is_said_the_worst_first(client: httpx2.Client, user: UserClient) -> None:
    device, newer = register_device(user, type="esp32"), register_device(user, type="esp32")
    path = f"/devices/{device.id}"
    fresh = user.get(f"{path}/health").json()
    assert (fresh["health"], fresh["reasons"]) == ("unknown", [])
    for one, version in ((device, "1.0.0"), (newer, "1.1.0")):
        beat = client.post(f"/devices/{one.id}/heartbeat", json={"firmware_version": version}, headers=one.headers)
        assert beat.status_code == 200
    readings = [{"sensor_type": "wifi.rssi", "value": -62, "unit": "dBm"}, {"sensor_type": "battery", "value": 8}]
    client.post(f"{path}/readings", json={"readings": readings}, headers=device.headers)
    client.post(f"{path}/logs", json={"level": "error", "message": "No sensor"}, headers=device.headers)
    health = user.get(f"{path}/health").json()
    assert health["health"] == "poor"
    battery, errors, firmware = health["reasons"]
    assert (battery, errors) == ("Its battery is nearly empty: 8 %.", "1 error in the last 24 hours.")
    assert firmware.endswith("another one of its type runs 1.1.0.")
    states = {check["name"]: (check["state"], check["value"], check["unit"]) for check in health["checks"]}
    assert (states["presence"][0], states["signal"]) == ("ok", ("ok", -62, "dBm"))
    assert client.get(f"{path}/health", headers=device.headers).json()["health"] == "poor"


def test_what_a_device_warns_of_itself_is_no_error(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    client.post(f"/devices/{device.id}/heartbeat", headers=device.headers)
    assert user.get(f"/devices/{device.id}/health").json()["health"] == "good"
    client.post(f"/devices/{device.id}/logs", json={"level": "warning", "message": "mine"}, headers=device.headers)
    assert user.get(f"/devices/{device.id}/health").json()["reasons"] == []
