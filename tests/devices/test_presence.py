"""Who is there, since when, and why not."""

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from roost.devices import registry
from roost.devices.presence import Presence
from tests.devices.conftest import Hub, Owner
from tests.waiting import until


async def settle(presence: Presence) -> None:
    await presence.settled()


async def test_a_device_is_offline_until_it_is_heard(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    view = hub.presence.view_of(await hub.row(device_id))
    assert (view.status, view.last_seen_at, view.reason) == ("offline", None, "It has never been heard.")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_since, row.last_seen_at) == ("online", hub.clock.now(), hub.clock.now())
    assert hub.published("device.status_changed") == [
        {
            "device_id": device_id,
            "organization_id": owner.organization_id,
            "home_id": owner.home_id,
            "status": "online",
            "since": "2026-03-01T12:00:00.000Z",
            "last_seen_at": "2026-03-01T12:00:00.000Z",
            "reason": "It is sending.",
            "cause": None,
        }
    ]


async def test_silence_makes_it_offline_and_says_so(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    heard_at = hub.clock.now()
    hub.clock.go_on(90)
    hub.presence._retire_silent(hub.clock.now_ms())
    assert hub.presence.view(device_id).status == "online"
    hub.clock.go_on(1)
    hub.presence._retire_silent(hub.clock.now_ms())
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_since, row.last_seen_at) == ("offline", hub.clock.now(), heard_at)
    assert row.status_reason == "Nothing was heard from it for 90 s."
    assert [message["status"] for message in hub.published("device.status_changed")] == ["online", "offline"]


async def test_a_connected_device_may_be_silent(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.connected(device_id, "mqtt")
    hub.clock.go_on(3600)
    hub.presence._retire_silent(hub.clock.now_ms())
    view = hub.presence.view(device_id)
    assert (view.status, view.transports, view.reason) == ("online", ("mqtt",), "Connected over MQTT.")


async def test_the_last_connection_that_ends_makes_it_offline_with_the_reason(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.connected(device_id, "mqtt")
    hub.presence.connected(device_id, "mqtt")
    await settle(hub.presence)
    hub.presence.disconnected(device_id, "Taken over.")
    assert hub.presence.view(device_id).status == "online"
    hub.presence.disconnected(device_id, "The connection broke without a goodbye.", cause="lost")
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_reason) == ("offline", "The connection broke without a goodbye.")
    assert row.status_cause == hub.presence.view_of(row).cause == "lost"
    assert [event["cause"] for event in hub.published("device.status_changed")] == [None, "lost"]
    hub.presence.disconnected(device_id, "Once more.")
    assert hub.presence.view(device_id).reason == "The connection broke without a goodbye."
    hub.clock.go_on(1)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    assert (await hub.row(device_id)).status_cause is None


async def test_what_it_sent_before_it_left_does_not_bring_it_back(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.connected(device_id, "mqtt")
    sent_ms = hub.clock.now_ms()
    hub.clock.go_on(1)
    hub.presence.disconnected(device_id, "It said goodbye.")
    hub.presence.seen(device_id, sent_ms)
    assert hub.presence.view(device_id).status == "offline"
    hub.clock.go_on(1)
    hub.presence.seen(device_id, hub.clock.now_ms())
    assert hub.presence.view(device_id).status == "online"


async def test_a_reconnect_within_a_moment_is_no_change(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.connected(device_id, "mqtt")
    await settle(hub.presence)
    hub.presence.disconnected(device_id, "Taken over.")
    hub.presence.connected(device_id, "mqtt")
    await settle(hub.presence)
    assert len(hub.published("device.status_changed")) == 1


async def test_what_a_device_says_about_itself_stands_until_it_goes(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.reported(device_id, "updating", "Firmware 1.1.0")
    await settle(hub.presence)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_reason) == ("updating", "Firmware 1.1.0")
    hub.clock.go_on(5)
    hub.presence.reported(device_id, "offline", None)
    await settle(hub.presence)
    assert (await hub.row(device_id)).status_reason == "The device reported offline."
    hub.clock.go_on(5)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_since) == ("online", hub.clock.now())


async def test_a_restart_keeps_devices_online_and_gives_them_the_usual_time(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    heard_at = hub.clock.now()
    await hub.presence.stop()
    hub.clock.go_on(600)
    again = Presence(hub.database, hub.clock, hub.bus, offline_after_s=90)
    await again.start()
    again._retire_silent(hub.clock.now_ms())
    assert again.view(device_id).status == "online"
    hub.clock.go_on(91)
    again._retire_silent(hub.clock.now_ms())
    await settle(again)
    row = await hub.row(device_id)
    assert (row.status, row.last_seen_at) == ("offline", heard_at)
    await again.stop()


async def test_last_seen_is_written_down_now_and_then(hub: Hub, owner: Owner) -> None:
    ids = [(await hub.add_device(owner, f"lamp-{number}"))[0] for number in range(3)]
    for device_id in ids:
        hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    hub.clock.go_on(15)
    for device_id in ids[:2]:
        hub.presence.seen(device_id, hub.clock.now_ms())
    await hub.presence._flush_seen()
    seen = [(await hub.row(device_id)).last_seen_at for device_id in ids]
    assert seen[0] == seen[1] == hub.clock.now()
    assert seen[2] != hub.clock.now()


async def test_another_process_that_hears_it_keeps_it_online(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    other = Presence(hub.database, hub.clock, hub.bus, offline_after_s=90)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    await other.start()
    hub.clock.go_on(80)
    other.seen(device_id, hub.clock.now_ms())
    await other._flush_seen()
    hub.clock.go_on(11)
    hub.presence._retire_silent(hub.clock.now_ms())
    await settle(hub.presence)
    assert (await hub.row(device_id)).status == "online"
    assert len(hub.published("device.status_changed")) == 1
    hub.clock.go_on(90)
    hub.presence._retire_silent(hub.clock.now_ms())
    await settle(hub.presence)
    assert (await hub.row(device_id)).status == "offline"
    await other.stop()


async def test_what_it_told_another_process_is_not_contradicted_by_hearing_it(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    other = Presence(hub.database, hub.clock, hub.bus, offline_after_s=90)
    await other.start()
    other.reported(device_id, "updating", "Firmware 1.1.0")
    await settle(other)
    told_at = hub.clock.now()
    hub.clock.go_on(5)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    row = await hub.row(device_id)
    assert (row.status, row.status_reason) == ("updating", "Firmware 1.1.0")
    view = hub.presence.view(device_id)
    assert (view.status, view.since, view.last_seen_at) == ("updating", told_at, hub.clock.now())
    await other.stop()


async def test_a_waiting_request_hears_that_the_database_is_away(
    hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")

    async def fail(device_ids: list[int]) -> None:
        raise OperationalError("UPDATE devices", {}, OSError("away"))

    with monkeypatch.context() as patched:
        patched.setattr(hub.presence, "_commit_chunk", fail)
        patched.setattr("roost.devices.presence._RETRY_S", 0.01)
        hub.presence.seen(device_id, hub.clock.now_ms())
        with pytest.raises(OperationalError):
            await asyncio.wait_for(hub.presence.settled(), timeout=5)
    await until(lambda: len(hub.published("device.status_changed")) == 1)


async def test_a_deleted_device_is_forgotten(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.presence.connected(device_id, "mqtt")
    await settle(hub.presence)
    async with hub.database.write() as session:
        await registry.remove(session, await hub.row(device_id))
    assert hub.presence.view(device_id).last_seen_at is None
    # A message that was under way when the device went.
    hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    assert hub.presence.view(device_id).status == "offline"
    assert len(hub.published("device.status_changed")) == 1


async def test_a_database_that_is_away_loses_no_change(hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    commit = hub.presence._commit_chunk
    failed: list[list[int]] = []

    async def fail_once(device_ids: list[int]) -> None:
        if not failed:
            failed.append(device_ids)
            raise OperationalError("UPDATE devices", {}, OSError("away"))
        await commit(device_ids)

    monkeypatch.setattr(hub.presence, "_commit_chunk", fail_once)
    monkeypatch.setattr("roost.devices.presence._RETRY_S", 0.01)
    hub.presence.seen(device_id, hub.clock.now_ms())
    await until(lambda: len(hub.published("device.status_changed")) == 1)
    assert failed


async def test_hearing_a_device_that_is_there_changes_nothing(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    for _ in range(1_000):
        hub.presence.seen(device_id, hub.clock.now_ms())
    await settle(hub.presence)
    assert len(hub.published("device.status_changed")) == 1
