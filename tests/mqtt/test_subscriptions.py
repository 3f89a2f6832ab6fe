"""What users read: the last value first, then everything within their reach, and never at the expense of others."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from roost.access.principals import Grant
from roost.core.errors import Unauthorized
from roost.mqtt import server
from tests.mqtt import wire
from tests.mqtt.conftest import DEVICE, FOREIGN, OTHER_TOKEN, TOKEN, USER, Endpoint
from tests.mqtt.wire import RawClient
from tests.waiting import until

TOPIC = "devices/me/telemetry"
FOREIGN_TOKEN = "rdt_" + "f" * 43
EVENT = b'{"event_type":"boot","payload":{"temp_c":21,"note":"up"},"ts":1700000000000}'
READINGS = b'{"readings":[{"sensor_type":"temp_c","value":21.5,"unit":"C","timestamp":1700000000000}]}'


async def _subscribe(client: RawClient, *filters: str, version: int = 4, options: int = 0) -> list[int]:
    await client.send(wire.subscribe(*filters, version=version, options=options))
    answer = await client.receive()
    assert answer.kind == 9
    return list(answer.body[-len(filters) :])


async def _message(client: RawClient, version: int = 4) -> tuple[str, Any, bool]:
    topic, payload, retain = (await client.receive()).message(version)
    return topic, json.loads(payload), retain


@pytest.mark.parametrize("version", [4, 5])
async def test_live_messages(endpoint: Endpoint, version: int) -> None:
    reader = await endpoint.user(version)
    assert await _subscribe(reader, "devices/+/telemetry", "devices/7/+", version=version) == [0, 0]
    device = await endpoint.device(version)
    await device.send(wire.publish(TOPIC, EVENT, version=version))
    got = sorted([(await _message(reader, version))[:2] for _ in range(4)], key=lambda pair: pair[0])
    assert [topic for topic, _ in got] == [
        "devices/7/events", "devices/7/readings", "devices/7/telemetry", "devices/7/telemetry",
    ]  # fmt: skip
    event = got[0][1]
    received_at = event.pop("received_at")
    assert received_at.endswith("Z")
    assert event == {
        "id": 1,
        "event_type": "boot",
        "ts": "2023-11-14T22:13:20.000Z",
        "payload": {"temp_c": 21, "note": "up"},
    }
    assert got[1][1] == {
        "readings": [{"sensor_type": "temp_c", "value": 21, "unit": None, "timestamp": "2023-11-14T22:13:20.000Z"}]
    }


async def test_readings_keep_their_units(endpoint: Endpoint) -> None:
    reader = await endpoint.user()
    await _subscribe(reader, "devices/greenhouse-1/readings", "devices/7/events")
    device = await endpoint.device()
    await device.send(wire.publish("devices/me/readings", READINGS))
    topic, body, retain = await _message(reader)
    assert (topic, retain) == ("devices/greenhouse-1/readings", False), "as the user has named it"
    assert body["readings"][0]["unit"] == "C"
    await device.send(wire.publish(TOPIC, EVENT))
    assert {(await _message(reader))[0] for _ in range(2)} == {"devices/greenhouse-1/readings", "devices/7/events"}


async def test_only_what_is_within_reach(endpoint: Endpoint) -> None:
    endpoint.identities.tokens[FOREIGN_TOKEN] = FOREIGN
    reader = await endpoint.user(5)
    filters = ["devices/+/telemetry", "devices/9/telemetry", "devices/nobody/status", "devices/7/tasks", "$share/g/#"]
    assert await _subscribe(reader, *filters, version=5) == [0, 0x87, 0x87, 0x87, 0x9E]
    foreign = await endpoint.device(4, FOREIGN_TOKEN, user_name="9")
    await foreign.send(wire.publish(TOPIC, b'{"payload":{"n":1}}'))
    assert (await foreign.receive()).kind == 4
    endpoint.bus.publish("device.status_changed", _status(9, 99))
    endpoint.bus.publish("device.status_changed", _status(9, None))
    device = await endpoint.device(4, OTHER_TOKEN)
    await device.send(wire.publish(TOPIC, b'{"payload":{"n":2}}'))
    topic, body, _ = await _message(reader, 5)
    assert (topic, body["payload"]) == ("devices/8/telemetry", {"n": 2})


def _status(device_id: int, organization_id: int | None) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "organization_id": organization_id,
        "home_id": 4,
        "status": "online",
        "since": "2026-01-01T00:00:00.000Z",
        "last_seen_at": None,
        "reason": "Connected over MQTT.",
        "cause": None,
    }


async def test_status_changes(endpoint: Endpoint) -> None:
    reader = await endpoint.user()
    await _subscribe(reader, "devices/+/status")
    endpoint.bus.publish("device.status_changed", _status(7, 3))
    topic, body, _ = await _message(reader)
    assert topic == "devices/7/status"
    assert body == {
        "status": "online",
        "since": "2026-01-01T00:00:00.000Z",
        "last_seen_at": None,
        "reason": "Connected over MQTT.",
        "cause": None,
    }


@pytest.mark.parametrize("version", [4, 5])
async def test_the_last_value_comes_first(endpoint: Endpoint, version: int) -> None:
    endpoint.directory.lasts = {(7, "telemetry"): b'{"a":1}', (8, "telemetry"): b'{"b":2}', (9, "telemetry"): b"{}"}
    reader = await endpoint.user(version)
    await _subscribe(reader, "devices/+/telemetry", version=version)
    assert await _message(reader, version) == ("devices/7/telemetry", {"a": 1}, True)
    assert await _message(reader, version) == ("devices/8/telemetry", {"b": 2}, True)


async def test_retain_handling_5(endpoint: Endpoint) -> None:
    endpoint.directory.lasts = {(7, "telemetry"): b'{"a":1}'}
    reader = await endpoint.user(5)
    # 2: never; 1: for a new subscription only.
    await _subscribe(reader, "devices/7/telemetry", version=5, options=0x20)
    await _subscribe(reader, "devices/7/telemetry", version=5, options=0x10)
    await _subscribe(reader, "devices/+/telemetry", version=5, options=0x10)
    assert await _message(reader, 5) == ("devices/7/telemetry", {"a": 1}, True)
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_nothing_older_after_something_newer(endpoint: Endpoint) -> None:
    endpoint.directory.lasts = {(7, "telemetry"): b'{"old":1}'}
    looking, found = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        looking.set()
        await found.wait()

    endpoint.directory.before_last = hold
    reader = await endpoint.user()
    await _subscribe(reader, "devices/7/telemetry")
    await looking.wait()
    device = await endpoint.device()
    await device.send(wire.publish(TOPIC, EVENT))
    _, body, retain = await _message(reader)
    assert (body["event_type"], retain) == ("boot", False)
    found.set()
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_unsubscribe_ends_the_flow(endpoint: Endpoint) -> None:
    reader = await endpoint.user(5)
    await _subscribe(reader, "devices/+/telemetry", "devices/7/telemetry", version=5)
    await reader.send(wire.unsubscribe("devices/+/telemetry", "devices/7/telemetry", "devices/8/status", version=5))
    assert (await reader.receive()).body[-3:] == b"\x00\x00\x11"
    device = await endpoint.device()
    await device.send(wire.publish(TOPIC, EVENT))
    assert (await device.receive()).kind == 4
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_a_slow_reader_loses_messages_and_slows_nobody(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "roost.mqtt")
    slow, quick = await endpoint.user(narrow=True), await endpoint.user()
    await _subscribe(slow, "devices/7/telemetry")
    await _subscribe(quick, "devices/7/telemetry")
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    device = await endpoint.device()
    body = b'{"event_type":"noise","payload":{"text":"%s"}}' % (b"x" * 12_000)
    count = 0
    subscriptions = endpoint.server._subscriptions
    while not subscriptions.dropped:
        count += 1
        assert count < 3000
        await device.send(wire.publish(TOPIC, body))
        assert (await device.receive()).kind == 4
        assert (await quick.receive()).kind == 3
    await slow.close()
    await until(lambda: [record for record in caplog.records if "slow subscriber" in record.getMessage()])


async def test_messages_larger_than_the_reader_takes_5(endpoint: Endpoint) -> None:
    reader = await endpoint.user(5, properties=b"\x27\x00\x00\x00\x40")
    await _subscribe(reader, "devices/7/telemetry", version=5)
    device = await endpoint.device()
    await device.send(wire.publish(TOPIC, EVENT))
    assert (await device.receive()).kind == 4
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_subscribing_while_the_database_is_away(endpoint: Endpoint) -> None:
    async def fail(*_: object) -> None:
        raise OSError("connection refused")

    endpoint.directory.visible = fail  # type: ignore[method-assign, assignment]
    reader = await endpoint.user(5)
    await reader.send(wire.subscribe("devices/7/telemetry", version=5))
    assert (await reader.receive()).reason == 0x89
    assert await reader.rest() == b""
    await endpoint.device(4, TOKEN)


async def test_a_token_is_checked_again(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grants change and tokens expire while a connection stands; a database that is away is no reason to end it."""
    monkeypatch.setattr(server, "RECHECK_INTERVAL_S", 0.05)
    await endpoint.restart()
    reader, device = await endpoint.user(5), await endpoint.device()
    await _subscribe(reader, "devices/+/telemetry", version=5)
    endpoint.user_error = OSError("connection refused")
    await device.send(wire.publish(TOPIC, EVENT))
    assert (await _message(reader, 5))[0] == "devices/7/telemetry"
    endpoint.user_error = None
    (session,) = endpoint.server.registry.users()
    endpoint.principal = replace(USER, grants=())
    await until(lambda: session.user == endpoint.principal)
    await device.send(wire.publish(TOPIC, EVENT), wire.publish(TOPIC, EVENT, 2))
    assert [(await device.receive()).packet_id for _ in range(3)] == [1, 1, 2]
    endpoint.user_error = Unauthorized("The access token has expired.")
    answer = await reader.receive()
    assert (answer.kind, answer.reason) == (14, 0x87)
    assert b"expired" in answer.body


async def test_a_device_that_moves_is_judged_by_its_new_home(endpoint: Endpoint) -> None:
    endpoint.principal = replace(USER, grants=(Grant("technician", 3, 44),))
    reader, device = await endpoint.user(), await endpoint.device()
    await _subscribe(reader, "devices/+/telemetry")
    await device.send(wire.publish(TOPIC, EVENT))
    assert (await device.receive()).kind == 4
    endpoint.directory.found = replace(DEVICE, home_id=44)
    endpoint.bus.publish("device.updated", {"device_id": 7, "organization_id": 3})
    (session,) = endpoint.server.registry.of_device(7)
    await until(lambda: session.device == endpoint.directory.found)
    await device.send(wire.publish(TOPIC, EVENT, 2))
    assert (await _message(reader))[1]["id"] == 2
