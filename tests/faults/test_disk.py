"""What a process kill cannot show: an acknowledgement waits for the disk, and what the disk has is enough.

Only SQLite: its files are written by this process. `test_postgres.py` does the same where PostgreSQL writes.
"""

import asyncio
import random
from collections import Counter

import httpx2
import pytest

from roost.core.clock import SystemClock
from roost.telemetry.log import without_resends
from roost.telemetry.spans import FOREVER_MS
from roost.telemetry.sqlite_log import SqliteLog
from tests.conftest import RegisteredDevice, register_device, register_user
from tests.faults.conftest import MakeFaultyServer, register_devices
from tests.faults.faulty_server import FaultyServer
from tests.faults.load import SERIES, Ledger, Load
from tests.faults.unanswered import Unanswered
from tests.waiting import until

_MANY = 1_000_000


async def test_no_acknowledgement_leaves_while_the_disk_has_not_synced(faulty_server: MakeFaultyServer) -> None:
    server = faulty_server()
    with register_user(server) as user:
        unanswered = Unanswered(server, register_devices(user, 4))
        try:
            await unanswered.connect()
            server.hold.touch()
            await unanswered.send()
            await until(server.waiting.exists, 20, what="A sync that waits")
            await unanswered.probe()
            assert unanswered.answered == 0
            server.hold.unlink()
            await until(lambda: unanswered.complete, 20, what="The acknowledgement of everything")
        finally:
            server.hold.unlink(missing_ok=True)
            await unanswered.close()


@pytest.mark.parametrize(("cuts", "seed"), [(1, 7), pytest.param(10, 70, marks=pytest.mark.soak, id="ten-power-cuts")])
async def test_what_was_acknowledged_survives_a_power_cut(
    faulty_server: MakeFaultyServer, cuts: int, seed: int
) -> None:
    """The log changes its file every 60 messages, so that new names have to reach the disk too."""
    chance = random.Random(seed)
    for _ in range(cuts):
        server = faulty_server(slice_rows=60)
        with register_user(server) as user:
            load = Load.mixed(server, register_devices(user, 3), seed)
            await _send_until_power_cut(server, load, 20 + chance.randrange(80))
            for ledger, found in await _found_after(server, load):
                assert ledger.missing_from(found) == set()
                assert max(found.values()) == 1


async def test_a_log_that_does_not_sync_is_found_out(faulty_server: MakeFaultyServer) -> None:
    """Breaks what the test above relies on: without it that test would prove nothing."""
    server = faulty_server(unsynced=True)
    with register_user(server) as user:
        load = Load.mixed(server, register_devices(user, 3), 7)
        await _send_until_power_cut(server, load, 20)
        for ledger, found in await _found_after(server, load):
            assert ledger.missing_from(found)


async def test_a_resend_is_acknowledged_only_after_the_original_is_on_disk(faulty_server: MakeFaultyServer) -> None:
    """Killed during the sync: the next start finds the message in the system's cache, which is not the disk yet."""
    server = faulty_server()
    with register_user(server) as user:
        device = register_device(user)
        message = {"payload": {"n": 1}, "message_id": "once"}
        url = f"{server.url}/api/v1/telemetry"
        server.hold.touch()
        async with httpx2.AsyncClient(headers=device.headers, timeout=30, trust_env=False, verify=False) as client:
            first = asyncio.create_task(client.post(url, json=message))
            await until(server.waiting.exists, 20, what="A sync that waits")
            server.kill()
            with pytest.raises(httpx2.TransportError):
                await first
            server.hold.unlink()
            await asyncio.to_thread(server.start)
            answer = await client.post(url, json=message)
        assert answer.status_code == 201
        server.kill()
        assert await _found(server, [device]) == [{1: 1}]


async def _send_until_power_cut(server: FaultyServer, load: Load, messages: int) -> None:
    async with load.running():
        await load.progress(messages)
        server.kill()
    load.assert_nothing_refused()


async def _found_after(server: FaultyServer, load: Load) -> list[tuple[Ledger, Counter[int]]]:
    ledgers = [sender.ledger for sender in load.senders]
    return list(zip(ledgers, await _found(server, [ledger.device for ledger in ledgers]), strict=True))


async def _found(server: FaultyServer, devices: list[RegisteredDevice]) -> list[Counter[int]]:
    """How often each number of each device is in the log that the disk kept, read as the hub reads it."""
    log = SqliteLog(server.kept_by_the_disk(), SystemClock())
    await log.open()
    try:
        rows = [without_resends(await log.between(device.id, 0, FOREVER_MS, _MANY)) for device in devices]
        return [Counter(int(row.readings()[SERIES]) for row in one) for one in rows]
    finally:
        await log.close()
