"""What a process kill cannot show: an acknowledgement waits for the disk, and what the disk has is enough.

Only SQLite: its files are written by this process. `test_postgres.py` does the same where PostgreSQL writes.
"""

import asyncio
import random
from collections import Counter

import httpx2
import pytest

from tests.conftest import UserClient, register_device, register_user
from tests.faults.conftest import MakeFaultyServer, register_devices, signed_in_on
from tests.faults.faulty_server import FaultyServer
from tests.faults.load import Load, read_back
from tests.faults.unanswered import Unanswered
from tests.roost_server import RoostServer
from tests.waiting import until


async def test_no_acknowledgement_leaves_while_the_disk_has_not_synced(faulty_server: MakeFaultyServer) -> None:
    server = faulty_server()
    with register_user(server) as user:
        unanswered = Unanswered(server, register_devices(user, 4))
        try:
            await unanswered.connect()
            server.hold.touch()
            await unanswered.send()
            await until(server.waiting.exists, what="A sync that waits")
            await unanswered.probe()
            assert unanswered.answered == 0
            server.hold.unlink()
            await until(lambda: unanswered.complete, 10, what="The acknowledgement of everything")
        finally:
            server.hold.unlink(missing_ok=True)
            await unanswered.close()


@pytest.mark.parametrize(("cuts", "seed"), [(1, 7), pytest.param(10, 70, marks=pytest.mark.soak, id="ten-power-cuts")])
async def test_what_was_acknowledged_survives_a_power_cut(
    faulty_server: MakeFaultyServer, stopped_at_end: list[RoostServer], cuts: int, seed: int
) -> None:
    """The log changes its file every 60 messages, so that new names have to reach the disk too."""
    chance = random.Random(seed)
    for _ in range(cuts):
        server = faulty_server(slice_rows=60)
        with register_user(server) as user:
            load = Load.mixed(server, register_devices(user, 3), seed)
            await _send_until_power_cut(server, load, 20 + chance.randrange(80))
            for found, sender in zip(_found_after(server, user, load, stopped_at_end), load.senders, strict=True):
                assert sender.ledger.missing_from(found) == set()
                assert max(found.values()) == 1


async def test_a_log_that_does_not_sync_is_found_out(
    faulty_server: MakeFaultyServer, stopped_at_end: list[RoostServer]
) -> None:
    """Breaks what the test above relies on: without it that test would prove nothing."""
    server = faulty_server(unsynced=True)
    with register_user(server) as user:
        load = Load.mixed(server, register_devices(user, 3), 7)
        await _send_until_power_cut(server, load, 20)
        for found, sender in zip(_found_after(server, user, load, stopped_at_end), load.senders, strict=True):
            assert sender.ledger.missing_from(found)


async def test_a_resend_is_acknowledged_only_after_the_original_is_on_disk(
    faulty_server: MakeFaultyServer, stopped_at_end: list[RoostServer]
) -> None:
    """Killed during the sync: the next start finds the message in the system's cache, which is not the disk yet."""
    server = faulty_server()
    with register_user(server) as user:
        device = register_device(user)
        message = {"payload": {"n": 1}, "message_id": "once"}
        url = f"{server.url}/api/v1/telemetry"
        server.hold.touch()
        async with httpx2.AsyncClient(headers=device.headers, timeout=30, trust_env=False) as client:
            first = asyncio.create_task(client.post(url, json=message))
            await until(server.waiting.exists, what="A sync that waits")
            server.kill()
            with pytest.raises(httpx2.TransportError):
                await first
            server.hold.unlink()
            await asyncio.to_thread(server.start)
            answer = await client.post(url, json=message)
        assert answer.status_code == 201
        server.kill()
        after = server.after_power_cut()
        stopped_at_end.append(after)
        after.start()
        with signed_in_on(after, user) as reader:
            assert read_back(reader, device) == {1: 1}


async def _send_until_power_cut(server: FaultyServer, load: Load, messages: int) -> None:
    async with load.running():
        await load.progress(messages)
        server.kill()
    load.assert_nothing_refused()


def _found_after(
    server: FaultyServer, user: UserClient, load: Load, stopped_at_end: list[RoostServer]
) -> list[Counter[int]]:
    after = server.after_power_cut()
    stopped_at_end.append(after)
    after.start()
    with signed_in_on(after, user) as reader:
        return [read_back(reader, sender.ledger.device) for sender in load.senders]
