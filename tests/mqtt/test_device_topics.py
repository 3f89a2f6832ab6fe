"""What devices hear on their own topics: what waits first, then what is told, and nothing of another's."""

import asyncio

import pytest

from tests.mqtt import wire
from tests.mqtt.conftest import OTHER_TOKEN, Endpoint
from tests.mqtt.wire import RawClient
from tests.waiting import until

LEAF = "shadow/delta"


async def _subscribe(client: RawClient, topic: str, version: int = 4, options: int = 0) -> None:
    await client.send(wire.subscribe(topic, version=version, options=options))
    assert (await client.receive()).kind == 9


@pytest.mark.parametrize("version", [4, 5])
async def test_what_waits_comes_first_and_retained(endpoint: Endpoint, version: int) -> None:
    endpoint.feed.waiting = b"{1}"
    device = await endpoint.device(version)
    await _subscribe(device, "devices/me/shadow/delta", version)
    assert (await device.receive()).message(version) == ("devices/me/shadow/delta", b"{1}", True)
    assert endpoint.server.tell_device(7, LEAF, b"{2}") == 1
    assert (await device.receive()).message(version) == ("devices/me/shadow/delta", b"{2}", False)


async def test_each_device_hears_its_own_as_it_named_it(endpoint: Endpoint) -> None:
    first, second = await endpoint.device(), await endpoint.device(token=OTHER_TOKEN)
    await _subscribe(first, "devices/greenhouse-1/shadow/delta")
    await _subscribe(second, "devices/8/shadow/delta")
    await _subscribe(first, "devices/7/tasks")
    assert [endpoint.server.tell_device(device_id, LEAF, b"x") for device_id in (8, 7, 9)] == [1, 1, 0]
    assert (await first.receive()).message(4)[0] == "devices/greenhouse-1/shadow/delta"
    assert (await second.receive()).message(4)[0] == "devices/8/shadow/delta"
    assert endpoint.server.tell_device(7, "tasks", b"t") == 1
    assert (await first.receive()).message(4)[:2] == ("devices/7/tasks", b"t")


async def test_who_listens_no_more_hears_nothing(endpoint: Endpoint) -> None:
    device = await endpoint.device()
    await _subscribe(device, "devices/me/shadow/delta")
    await _subscribe(device, "devices/me/shadow/delta")
    assert endpoint.server.tell_device(7, LEAF, b"once") == 1
    assert (await device.receive()).message(4)[1] == b"once"
    await device.send(wire.unsubscribe("devices/me/shadow/delta"))
    assert (await device.receive()).kind == 11
    assert endpoint.server.tell_device(7, LEAF, b"x") == 0
    await _subscribe(device, "devices/me/shadow/delta")
    await device.close()
    await until(lambda: endpoint.server.tell_device(7, LEAF, b"x") == 0)


async def test_what_was_looked_up_late_does_not_overtake(endpoint: Endpoint) -> None:
    endpoint.feed.waiting, endpoint.feed.gate = b"old", asyncio.Event()
    device = await endpoint.device()
    await _subscribe(device, "devices/me/shadow/delta")
    endpoint.server.tell_device(7, LEAF, b"new")
    endpoint.feed.gate.set()
    assert (await device.receive()).message(4)[1] == b"new"
    for _ in range(2):
        await device.send(wire.PING)
        assert (await device.receive()).kind == 13


async def test_a_client_may_do_without_what_waits(endpoint: Endpoint) -> None:
    endpoint.feed.waiting = b"{1}"
    device = await endpoint.device(5)
    never, for_a_new_filter = 0x20, 0x10
    for topic, options, waits in (("7", never, False), ("me", for_a_new_filter, True), ("me", for_a_new_filter, False)):
        await _subscribe(device, f"devices/{topic}/shadow/delta", 5, options)
        if waits:
            assert (await device.receive()).message(5)[1] == b"{1}"
        for _ in range(2):
            await device.send(wire.PING)
            assert (await device.receive()).kind == 13


async def test_who_was_too_slow_hears_what_waits_when_it_has_caught_up(endpoint: Endpoint) -> None:
    endpoint.feed.waiting = b"last"
    device = await endpoint.device(narrow=True)
    await _subscribe(device, "devices/me/shadow/delta")
    assert (await device.receive()).message(4)[1] == b"last"
    sent = 0
    while endpoint.server.tell_device(7, LEAF, b"x" * 16_000):
        sent += 1
    got = [(await device.receive()).message(4) for _ in range(sent + 1)]
    assert got[-1] == ("devices/me/shadow/delta", b"last", True)


async def test_a_device_is_told_in_its_log_of_what_is_too_long_for_it(endpoint: Endpoint) -> None:
    device = await endpoint.device(5, properties=b"\x27\x00\x00\x00\x64")
    await _subscribe(device, "devices/me/shadow/delta", 5)
    assert endpoint.server.tell_device(7, LEAF, b"x" * 200) == 0
    ((device_id, line),) = endpoint.notes.lines
    assert (device_id, "takes 100 bytes at most" in line) == (7, True)


async def test_a_device_reports_and_may_leave_a_report_as_its_will(endpoint: Endpoint) -> None:
    device = await endpoint.device(will=("devices/me/shadow/reported", b'{"up": false}', 1))
    await device.send(wire.publish("devices/me/shadow/reported", b'{"up": true}'))
    assert (await device.receive()).kind == 4
    await device.close()
    await until(lambda: len(endpoint.notes.reports) == 2)
    assert endpoint.notes.reports == [(7, "shadow", b'{"up": true}'), (7, "shadow", b'{"up": false}')]
