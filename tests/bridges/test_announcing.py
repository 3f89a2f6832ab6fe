"""Home Assistant hears of an organization's devices through a bridge's broker."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from ha_mqtt_discoverable import DeviceInfo
from ha_mqtt_discoverable.sensors import BinarySensorInfo, SensorInfo

from tests.bridges.conftest import ask, bridge
from tests.bridges.mosquitto import Maker, Mosquitto
from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.waiting import wait_until

Makers = Callable[..., Maker]


@pytest.fixture
def prefix() -> str:
    """Where the Home Assistant of this test looks."""
    return f"ha-{uuid.uuid4().hex}"


@pytest.fixture
def home_assistant(broker: Mosquitto, makers: Makers, prefix: str) -> Maker:
    """Listens for devices."""
    return makers(broker).listen(f"{prefix}/#")


def config_of(home_assistant: Maker, prefix: str, made: dict[str, Any], device: RegisteredDevice) -> Any:
    """What Home Assistant was told last of the device; None after nothing, or after a removal."""
    said = home_assistant.kept.get(f"{prefix}/device/{made['client_id']}-{device.id}/config")
    return json.loads(said) if said else None


def send(user: UserClient, device: RegisteredDevice, body: dict[str, Any], kind: str = "telemetry") -> None:
    path = "/telemetry" if kind == "telemetry" else f"/devices/{device.id}/readings"
    answer = user.post(path, json=body, headers={**device.headers, "Authorization": ""})
    assert answer.status_code == 201, answer.text


def test_a_device_is_announced_as_home_assistant_expects_it(
    user: UserClient, broker: Mosquitto, home_assistant: Maker, prefix: str
) -> None:
    device = register_device(user, type="boiler")
    send(user, device, {"readings": [{"sensor_type": "flow.temp", "value": 41.5, "unit": "°C"}]}, "readings")
    send(user, device, {"it's on": True})
    made = bridge(user, broker, discovery_prefix=prefix)
    config = wait_until(lambda: config_of(home_assistant, prefix, made, device), what="The device")
    about = DeviceInfo(**config["device"])
    assert (about.name, about.model) == (device.uid, "boiler")
    components = {one["name"]: one for one in config["components"].values()}
    flow = SensorInfo(component=components["flow temp"].pop("platform"), device=about, **components["flow temp"])
    assert (flow.component, flow.device_class, flow.unit_of_measurement) == ("sensor", "temperature", "°C")
    switch = components["it's on"]
    lit = BinarySensorInfo(component=switch.pop("platform"), device=about, **switch)
    assert lit.component == "binary_sensor"
    assert flow.unique_id != lit.unique_id
    home_assistant.listen(f"{made['client_id']}/#")
    state, availability = config["state_topic"], [one["topic"] for one in config["availability"]]
    wait_until(lambda: {state, *availability} <= home_assistant.kept.keys(), what="State and availability")
    assert json.loads(home_assistant.kept[state]) == {"flow.temp": 41.5, "it's on": True}
    assert [home_assistant.kept[one] for one in availability] == [b"online", b"online"]
    assert flow.value_template == "{{ value_json['flow.temp'] }}"
    send(user, device, {"flow.temp": 43})
    wait_until(lambda: b'"flow.temp":43' in home_assistant.kept[state], what="The new value")
    send(user, device, {"new": 1})
    wait_until(lambda: len(config_of(home_assistant, prefix, made, device)["components"]) == 3, what="The new series")
    user.post(
        f"/devices/{device.id}/status", json={"status": "offline"}, headers={**device.headers, "Authorization": ""}
    )
    wait_until(lambda: home_assistant.kept[availability[1]] == b"offline", what="The device's farewell")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_started_home_assistant_is_told_everything_again(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, home_assistant: Maker, prefix: str
) -> None:
    made = bridge(user, broker, discovery_prefix=prefix)
    wait_until(lambda: config_of(home_assistant, prefix, made, device), what="The device")
    home_assistant.heard.clear()
    home_assistant.say(f"{prefix}/status", "online")
    topic = f"{prefix}/device/{made['client_id']}-{device.id}/config"
    wait_until(lambda: topic in [one for one, _ in home_assistant.heard], what="The device once more")


def test_what_is_gone_is_taken_back(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, home_assistant: Maker, prefix: str
) -> None:
    other = register_device(user)
    made = bridge(user, broker, discovery_prefix=prefix)
    home_assistant.listen(f"{made['client_id']}/#")
    for one in (device, other):
        wait_until(lambda one=one: config_of(home_assistant, prefix, made, one), what="The device")  # type: ignore[misc]
    ask(user, "DELETE", f"/devices/{device.id}")
    wait_until(lambda: config_of(home_assistant, prefix, made, device) is None, what="The deleted device's removal")
    assert config_of(home_assistant, prefix, made, other) is not None
    ask(user, "DELETE", f"/bridges/{made['id']}")
    wait_until(lambda: not any(home_assistant.kept.values()), what="Everything being taken back")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_devices_of_the_same_broker_are_known_there_already(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, home_assistant: Maker, prefix: str
) -> None:
    own = register_device(user)
    root = uuid.uuid4().hex
    sources = [{"topic": f"{root}/{{device}}"}, {"topic": "#", "device_uid": "somebody"}]
    made = bridge(user, broker, sources=sources, discovery_prefix=prefix, version="3.1.1")
    wait_until(lambda: config_of(home_assistant, prefix, made, device), what="The device before it is heard there")
    home_assistant.say(f"{root}/{device.uid}", '{"n": 1}')
    wait_until(lambda: config_of(home_assistant, prefix, made, device) is None, what="The removal")
    assert config_of(home_assistant, prefix, made, own) is not None


def test_a_hub_that_is_gone_is_said_to_be_gone(
    fresh_server: FreshServer, broker: Mosquitto, home_assistant: Maker, prefix: str
) -> None:
    server = fresh_server()
    with register_user(server) as user:
        device = register_device(user)
        made = bridge(user, broker, discovery_prefix=prefix)
        there = f"{made['client_id']}/availability"
        home_assistant.listen(there)
        wait_until(lambda: home_assistant.kept.get(there) == b"online", what="The hub")
        server.kill()
        wait_until(lambda: home_assistant.kept[there] == b"offline", what="The hub's will")
        server.start()
        wait_until(lambda: home_assistant.kept[there] == b"online", 15, what="The hub after its restart")
        wait_until(lambda: config_of(home_assistant, prefix, made, device), what="The device")
        server.stop()
        assert wait_until(lambda: home_assistant.kept[there] == b"offline", what="The hub's farewell")
