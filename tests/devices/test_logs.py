"""Lines about devices: batched, limited, the newest kept."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from roost.devices import registry
from roost.devices.logs import DeviceLogs
from roost.devices.models import DeviceLog
from roost.devices.repository import LogFilter, list_logs
from roost.devices.timers import Housekeeping
from tests.devices.conftest import Hub, Owner
from tests.waiting import until


async def lines(hub: Hub, device_id: int) -> list[str]:
    async with hub.database.read() as session:
        found = await list_logs(session, device_id, LogFilter(), before_id=None, limit=5000)
    return [line.message for line in found]


async def stored(hub: Hub) -> None:
    """Wait until the writer has come around by itself."""
    await until(lambda: not hub.logs._queue)
    await hub.logs.flush()


async def test_lines_are_stored_a_moment_later(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    assert hub.logs.write(device_id, "warning", "A message was refused.")
    await stored(hub)
    assert await lines(hub, device_id) == ["A message was refused."]


async def test_a_chatty_device_is_cut_short_and_the_owner_is_told(hub: Hub, owner: Owner) -> None:
    chatty, _ = await hub.add_device(owner, "lamp-1")
    quiet, _ = await hub.add_device(owner, "lamp-2")
    taken = [hub.logs.write(chatty, "info", f"line {number}") for number in range(12)]
    assert taken == [True] * 5 + [False] * 7
    assert hub.logs.room(chatty) == 0
    assert hub.logs.write(quiet, "info", "still heard")
    hub.clock.go_on(60)
    assert hub.logs.room(chatty) == 5
    hub.logs.write(chatty, "info", "next minute")
    await hub.logs.flush()
    said = await lines(hub, chatty)
    assert said[0] == "next minute"
    assert said[1] == "7 more lines were left out: a device may write 5 a minute."
    assert len(said) == 7
    assert await lines(hub, quiet) == ["still heard"]


async def test_the_newest_thousand_are_kept(hub: Hub, owner: Owner) -> None:
    logs = DeviceLogs(hub.database, hub.clock, hub.bus, lines_a_minute=10_000)
    device_id, _ = await hub.add_device(owner, "lamp-1")
    other, _ = await hub.add_device(owner, "lamp-2")
    logs.write(other, "info", "untouched")
    for number in range(1500):
        logs.write(device_id, "info", str(number))
    await logs.flush()
    kept = await lines(hub, device_id)
    # Cleared after every hundred lines or so, not after each.
    assert 1000 <= len(kept) < 1100
    assert (kept[0], kept[999]) == ("1499", "500")
    assert await lines(hub, other) == ["untouched"]
    await logs.stop()


async def test_a_line_about_a_deleted_device_fails_no_other(hub: Hub, owner: Owner) -> None:
    gone, _ = await hub.add_device(owner, "lamp-1")
    there, _ = await hub.add_device(owner, "lamp-2")
    hub.logs.write(gone, "info", "too late")
    hub.logs.write(there, "info", "kept")
    async with hub.database.write() as session:
        await registry.remove(session, await hub.row(gone))
    await hub.logs.flush()
    assert await lines(hub, there) == ["kept"]
    async with hub.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(DeviceLog)) == 1


async def test_long_and_odd_lines_are_made_storable(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.logs.write(device_id, "verbose", "a\x00b" + "x" * 5000)
    await hub.logs.flush()
    (line,) = await lines(hub, device_id)
    assert line.startswith("abx")
    assert len(line) == 2000


async def test_a_database_that_is_away_loses_no_line(hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    store = hub.logs._store
    failed: list[object] = []

    async def fail_once(session: object, batch: object) -> None:
        if not failed:
            failed.append(batch)
            raise OperationalError("INSERT", {}, OSError("away"))
        await store(session, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(hub.logs, "_store", fail_once)
    monkeypatch.setattr("roost.devices.logs._RETRY_S", 0.01)
    hub.logs.write(device_id, "info", "patient")
    await until(lambda: failed)
    await stored(hub)
    assert await lines(hub, device_id) == ["patient"]


async def test_old_lines_end_by_the_clock_of_the_hub(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    hub.logs.write(device_id, "info", "from the future", at=hub.clock.now() + timedelta(days=900))
    await hub.logs.flush()
    hub.clock.go_on(3 * 86_400)
    hub.logs.write(device_id, "info", "from the past", at=hub.clock.now() - timedelta(days=900))
    await hub.logs.flush()
    await Housekeeping(hub.database, hub.clock, log_days=2).run_once()
    assert await lines(hub, device_id) == ["from the past"]
