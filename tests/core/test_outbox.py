"""Events are told after their commit, once, in every process."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from roost.core import outbox
from roost.core.bus import Bus
from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.core.errors import Conflict
from roost.core.settings import Settings
from tests.waiting import until


class Process:
    """A database, a bus and an outbox, as each server process has them."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings)
        self.bus = Bus()
        self.heard: list[int] = []
        self.bus.subscribe("thing.", self._hear)
        self.outbox = outbox.Outbox(self.database, self.bus, SystemClock())

    def _hear(self, _subject: str, message: dict[str, Any]) -> None:
        self.heard.append(message["number"])

    async def tell(self, number: int) -> None:
        async with self.database.write() as session:
            outbox.add(session, "thing.made", {"number": number})

    async def close(self) -> None:
        await self.outbox.stop()
        await self.bus.close()
        await self.database.dispose()


async def test_told_right_after_the_commit_and_to_other_processes_soon(database: Database, settings: Settings) -> None:
    first, second, bystander = Process(settings), Process(settings), Process(settings)
    await first.tell(0)
    for process in (first, second):
        await process.outbox.start()
    await first.tell(1)
    assert first.heard == [1]
    await bystander.tell(2)
    await second.tell(3)
    await until(lambda: first.heard == [1, 2, 3] and second.heard == [1, 2, 3])
    for process in (first, second, bystander):
        await process.close()


async def test_a_change_that_is_dropped_is_not_told(database: Database, settings: Settings) -> None:
    process = Process(settings)
    await process.outbox.start()
    with pytest.raises(Conflict):
        await _tell_and_fail(process)
    await process.tell(2)
    assert process.heard == [2]
    await process.close()


async def _tell_and_fail(process: Process) -> None:
    async with process.database.write() as session:
        outbox.add(session, "thing.made", {"number": 1})
        raise Conflict("No.")


async def test_a_database_without_a_connection_to_spare_is_asked_again(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Process(settings), Process(settings)
    await first.outbox.start()
    refused = asyncio.Event()

    def full() -> None:
        refused.set()
        raise PoolTimeout("QueuePool limit of size 4 overflow 4 reached, connection timed out, timeout 10.00")

    with monkeypatch.context() as patched:
        patched.setattr(first.database, "read", full)
        await refused.wait()
    await second.tell(1)
    await until(lambda: first.heard == [1])
    for process in (first, second):
        await process.close()
