"""Presence among several processes: who holds a connection to one of them is there, and nobody is forgotten."""

from collections.abc import AsyncIterator, Iterator

import pytest

from roost.core.nats import Nats
from roost.devices.elsewhere import ConnectedElsewhere
from roost.devices.presence import Presence
from tests.devices.conftest import Hub, Owner
from tests.nats_server import NatsServer
from tests.waiting import until


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsServer]:
    server = NatsServer()
    yield server.start()
    server.remove()


async def shared(presence: Presence, nats: NatsServer) -> Nats:
    client = Nats(nats.url, "test")
    await client.connect()
    elsewhere = ConnectedElsewhere(client)
    await elsewhere.answer(presence.holds)
    presence.share(elsewhere)
    return client


@pytest.fixture
async def other(hub: Hub, nats: NatsServer) -> AsyncIterator[Presence]:
    """The presence of another process; both know of each other."""
    presence = Presence(hub.database, hub.clock, hub.bus, offline_after_s=90)
    clients = [await shared(hub.presence, nats), await shared(presence, nats)]
    await presence.start()
    yield presence
    await presence.stop()
    for client in clients:
        await client.close()


async def judge(hub: Hub, presence: Presence) -> None:
    await presence._leave_held_elsewhere()
    presence._retire_silent(hub.clock.now_ms())
    await presence.settled()


async def test_a_silent_connection_to_another_process_keeps_it_online(hub: Hub, owner: Owner, other: Presence) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await hub.presence.settled()
    other.connected(device_id, "mqtt")
    hub.clock.go_on(3600)
    await judge(hub, hub.presence)
    assert (await hub.row(device_id)).status == "online"
    other.disconnected(device_id, "It disconnected.")
    await other.settled()
    assert (await hub.row(device_id)).status == "offline"
    assert [message["status"] for message in hub.published("device.status_changed")] == ["online", "offline"]


async def test_silence_at_every_process_makes_it_offline(hub: Hub, owner: Owner, other: Presence) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await hub.presence.settled()
    hub.clock.go_on(91)
    await judge(hub, hub.presence)
    assert (await hub.row(device_id)).status == "offline"


async def test_the_devices_of_a_killed_process_go_offline(hub: Hub, owner: Owner, other: Presence) -> None:
    held, lost = [(await hub.add_device(owner, uid))[0] for uid in ("lamp-1", "lamp-2")]
    killed = Presence(hub.database, hub.clock, hub.bus, offline_after_s=90)
    await killed.start()
    for device_id in (held, lost):
        killed.seen(device_id, hub.clock.now_ms())
    await killed.settled()
    await killed._end_tasks()  # and it says nothing any more
    hub.presence.connected(held, "mqtt")
    await hub.presence.settled()
    hub.clock.go_on(119)
    await other._take_up_left_behind()
    await judge(hub, other)
    assert (await hub.row(lost)).status == "online"
    hub.clock.go_on(2)
    await other._take_up_left_behind()
    await judge(hub, other)
    assert (await hub.row(lost)).status == "offline"
    assert (await hub.row(held)).status == "online"


async def test_nobody_is_judged_while_the_others_cannot_be_asked(
    hub: Hub, owner: Owner, other: Presence, nats: NatsServer
) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await hub.presence.settled()
    hub.clock.go_on(91)
    elsewhere = hub.presence._elsewhere
    assert elsewhere is not None
    nats.kill()
    try:
        await until(lambda: not elsewhere._nats.connected)
        await judge(hub, hub.presence)
        assert (await hub.row(device_id)).status == "online"
    finally:
        nats.start()
    await until(lambda: elsewhere._nats.connected)
    await other._take_up_left_behind()
    hub.clock.go_on(60)
    await other._take_up_left_behind()
    await judge(hub, other)
    assert (await hub.row(device_id)).status == "offline"
