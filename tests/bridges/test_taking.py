"""Messages of another broker become telemetry of the organization's devices."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridges.conftest import ask, bridge, readings, wait_for_status
from tests.bridges.mosquitto import Maker, Mosquitto
from tests.conftest import RegisteredDevice, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

Makers = Callable[..., Maker]


def test_a_document_and_a_bare_value_become_readings(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, makers: Makers
) -> None:
    root = uuid.uuid4().hex
    sources = [
        {"topic": f"{root}/{{device}}/SENSOR", "time_field": "Time"},
        {"topic": f"{root}/{{device}}/{{key}}", "key": "{key}"},
    ]
    made = bridge(user, broker, sources=sources)
    maker = makers(broker)
    maker.say(f"{root}/{device.uid}/SENSOR", '{"Time": "2026-11-22T10:00:00", "AM2301": {"Temperature": 21.5}}')
    maker.say(f"{root}/{device.uid}/relay", "ON")
    wait_until(lambda: len(readings(user, device.id)) == 2, what="Both messages")
    assert readings(user, device.id) == {"AM2301.Temperature": 21.5, "relay": True}
    latest = {one["sensor_type"]: one for one in ask(user, "GET", f"/devices/{device.id}/readings/latest")}
    assert latest["AM2301.Temperature"]["timestamp"] == "2026-11-22T10:00:00.000Z"
    assert ask(user, "GET", f"/devices/{device.id}")["status"] == "online"
    assert ask(user, "GET", f"/bridges/{made['id']}")["devices"] == 1


def test_what_is_heard_for_the_first_time_is_registered_if_the_owner_wants_it(
    user: UserClient, broker: Mosquitto, makers: Makers
) -> None:
    root = uuid.uuid4().hex
    sources = [{"topic": f"{root}/{{device}}", "device_uid": f"{root[:8]}-{{device}}"}]
    made = bridge(user, broker, sources=sources, register_devices=True)
    makers(broker).say(f"{root}/küche 1", '{"temperature": 20}')
    wait_until(lambda: ask(user, "GET", f"/bridges/{made['id']}")["devices"], what="The device")
    found = ask(user, "GET", f"/devices?q={root[:8]}")
    assert [one["device_uid"] for one in found] == [f"{root[:8]}-k-che-1"]
    wait_until(lambda: readings(user, found[0]["id"]) == {"temperature": 20}, what="The reading")
    deeds = user.get(f"/organizations/{found[0]['organization_id']}/audit?action=device.registered").json()
    assert deeds[0]["details"]["bridge"] == "House"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_what_cannot_be_taken_is_told_and_disturbs_nothing_else(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, makers: Makers
) -> None:
    root = uuid.uuid4().hex
    made = bridge(user, broker, sources=[{"topic": f"{root}/{{device}}"}])
    maker = makers(broker)

    def problem() -> str:
        return ask(user, "GET", f"/bridges/{made['id']}")["problem"] or ""

    maker.say(f"{root}/nobody", '{"n": 1}')
    wait_until(lambda: "'nobody'" in problem(), what="The unknown device")
    maker.say(f"{root}/{device.uid}", "21.5")
    wait_until(lambda: "give the source a `key`" in problem(), what="The bare value")
    maker.say(f"{root}/{device.uid}", '{"name": "no number"}')
    wait_until(lambda: "at least one number" in problem(), what="The document without a number")
    maker.say(f"{root}/{device.uid}", '{"n": 2}')
    wait_until(lambda: readings(user, device.id) == {"n": 2}, what="The good message")
    lines = ask(user, "GET", f"/devices/{device.id}/logs")
    assert any("at least one number" in line["message"] for line in lines)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_retained_values_are_of_unknown_age_and_not_taken(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, makers: Makers
) -> None:
    root = uuid.uuid4().hex
    maker = makers(broker)
    maker.say(f"{root}/{device.uid}", '{"old": 1}', retain=True)
    bridge(user, broker, sources=[{"topic": f"{root}/{{device}}"}], version="3.1.1")
    maker.say(f"{root}/{device.uid}", '{"new": 2}')
    wait_until(lambda: readings(user, device.id) == {"new": 2}, what="The new value")


def test_another_organizations_device_is_out_of_reach(
    server: RoostServer, user: UserClient, device: RegisteredDevice, broker: Mosquitto, makers: Makers
) -> None:
    root = uuid.uuid4().hex
    with register_user(server) as stranger:
        made = bridge(stranger, broker, sources=[{"topic": f"{root}/{{device}}"}], register_devices=True)
        makers(broker).say(f"{root}/{device.uid}", '{"n": 1}')
        wait_until(lambda: ask(stranger, "GET", f"/bridges/{made['id']}")["problem"], what="The refusal")
        assert user.get(f"/bridges/{made['id']}").status_code == 404
    assert readings(user, device.id) == {}


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_password_opens_the_broker_and_is_never_shown(
    user: UserClient, device: RegisteredDevice, tmp_path: Path, makers: Makers
) -> None:
    strict = Mosquitto(tmp_path, users={"roost": "Secret-1", "maker": "Secret-2"}).start()
    try:
        wanted = {"name": "Strict", "url": strict.url, "user_name": "roost", "password": "Wrong-1"}
        made = ask(user, "POST", "/bridges", {**wanted, "sources": [{"topic": "{device}/out"}]})
        assert made["has_password"] is True
        assert "Wrong-1" not in str(made)
        refused = wait_for_status(user, made["id"], "failing")
        assert "not there or refuses" in refused["status_reason"]
        ask(user, "PATCH", f"/bridges/{made['id']}", {"password": "Secret-1"})
        wait_for_status(user, made["id"], "connected")
        makers(strict, "maker", "Secret-2").say(f"{device.uid}/out", '{"n": 1}')
        wait_until(lambda: readings(user, device.id) == {"n": 1}, what="The message")
    finally:
        strict.stop()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_broker_with_tls_has_to_be_the_right_one(
    user: UserClient, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    hidden = Mosquitto(tmp_path, tls=certificate).start()
    try:
        url = hidden.url.replace("mqtt://", "mqtts://")
        made = ask(user, "POST", "/bridges", {"name": "Hidden", "url": url})
        assert "certificate" in wait_for_status(user, made["id"], "failing")["status_reason"].lower()
        ask(user, "PATCH", f"/bridges/{made['id']}", {"ca_certificate": certificate[0].read_text()})
        wait_for_status(user, made["id"], "connected")
    finally:
        hidden.stop()
