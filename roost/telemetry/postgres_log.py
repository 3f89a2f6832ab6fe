"""The log on PostgreSQL, in tables that it creates and looks after itself: see `roost.telemetry.postgres.schema`."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from roost.core.clock import Clock
from roost.telemetry.log import CoarseRow, MessageFilter, Row
from roost.telemetry.messages import Message
from roost.telemetry.postgres import blocks, head, removing
from roost.telemetry.postgres.appending import Appender
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.schema import SIZE
from roost.telemetry.retention import coarse_table

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary

T = TypeVar("T")

# Slices change their place a few times an hour at most, so that a second time is enough.
TRIES = 4
Beside = Callable[[Any], Awaitable[None]]


class PostgresLog:
    """See `roost.telemetry.log.Log`. A message id is recognised for 24 h, sealed or not."""

    def __init__(self, database_url: str, clock: Clock) -> None:
        self._clock = clock
        self._connections = Connections(database_url, clock)
        self._appender = Appender(self._connections, clock)

    async def open(self) -> None:
        await self._appender.look_again()
        async with self._connections.appending():
            pass

    async def close(self) -> None:
        await self._connections.close()

    async def append(
        self, device_ids: Sequence[int], messages: Sequence[Message], *, beside: Beside | None = None
    ) -> None:
        """`beside(connection)` runs at the end of the same transaction; what it raises takes everything back."""
        placed = await self._again_if_moved(lambda: self._append(device_ids, messages, beside))
        for message, row_id in placed:
            message.id = row_id
        if placed:
            await self._appender.roll_if_due(placed[-1][1])

    async def _append(
        self, device_ids: Sequence[int], messages: Sequence[Message], beside: Beside | None
    ) -> list[tuple[Message, int]]:
        try:
            async with self._connections.appending() as connection:
                placed = await self._appender.insert(connection, device_ids, messages)
                if beside is not None:
                    await beside(connection)
        except BaseException:
            self._appender.forget()
            raise
        return placed

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        async def asked(connection: Any) -> list[Row]:
            found = await head.recent(connection, device_ids, limit, wanted)
            above = found[-1].id if len(found) >= limit else -1
            if any(month.last_id > above for month in await blocks.list_months(connection)):
                reads = await self._block_reads()
                found += await reads.recent(connection, device_ids, limit, wanted, above)
                found.sort(key=lambda row: -row.id)
            return found[:limit]

        return await self._read(asked)

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        async def asked(connection: Any) -> list[Row]:
            found = await head.latest(connection, device_id, since, until, limit)
            if await blocks.list_months(connection):
                reads = await self._block_reads()
                found += await reads.between(connection, device_id, since, until, limit)
                found.sort(key=lambda row: (row.observed_at, row.id))
            return found[-limit:]

        return await self._read(asked)

    async def pieces(
        self,
        device_id: int,
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncIterator[Frame | Summary]":
        async with aclosing(self.batches([device_id], since, until, keys=keys, whole=whole)) as batches:
            async for batch in batches:
                for piece in batch:
                    yield piece

    async def batches(
        self,
        device_ids: Sequence[int],
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncGenerator[list[Frame | Summary], None]":
        reads = await self._block_reads()
        place, more = None, since < until and len(device_ids) > 0
        pace = reads.Pace(len(device_ids))
        while more:
            make, following = await self._read(
                partial(
                    reads.batch, device_ids=device_ids, place=place, span=(since, until), at_once=pace.at_once,
                    keys=keys, whole=whole,
                )
            )  # fmt: skip
            pace.learn(place, following)
            place, more = following, following is not None
            yield await asyncio.to_thread(make)

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        return await self._read(
            lambda connection: coarse_table.rows_between(connection, device_id, since, until, limit)
        )

    async def find(self, message_id: int) -> Row | None:
        async def asked(connection: Any) -> Row | None:
            found = await head.find(connection, message_id)
            if found is None and await blocks.events_with(connection, message_id):
                reads = await self._block_reads()
                found = await reads.find(connection, message_id)
            return found

        return await self._read(asked)

    async def delete_device(self, device_id: int) -> None:
        await removing.delete_device(self._connections, device_id)

    async def prune(self, before: int) -> int:
        return await removing.prune(self._connections, before, self._clock.now_ms())

    async def size(self) -> tuple[int, int]:
        async def asked(connection: Any) -> tuple[int, int]:
            messages = sum(count for _, count in await head.counts(connection)) + await blocks.count(connection)
            return messages, await connection.fetchval(SIZE)

        return await self._read(asked)

    def when_closed(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when it turns out that there is a slice that can be sealed."""
        self._appender.when_closed(callback)

    @property
    def has_closed_slices(self) -> bool:
        """Whether there is anything that could be sealed, as far as is known here."""
        return self._appender.has_closed_slices

    async def let_go(self) -> None:
        """Slices may have been sealed: learns what has become of them. Raises LogUnavailable."""
        await self._appender.look_again()

    async def _block_reads(self) -> Any:
        # Loaded with the first use: numpy costs a hub that nobody asks for history 30 MB and a tenth of a second.
        return await asyncio.to_thread(importlib.import_module, "roost.telemetry.postgres.reads")

    async def _read(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async def once() -> T:
            async with self._connections.snapshot() as connection:
                return await work(connection)

        return await self._again_if_moved(once)

    async def _again_if_moved(self, work: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TRIES - 1):
            try:
                return await work()
            except Moved:
                continue
        return await work()
