"""How many messages each home sent today. Counted while they arrive, since the log cannot be counted quickly."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import RoostError
from roost.ops.models import HomeMessages
from roost.telemetry.messages import Committed

FLUSH_INTERVAL_S = 15.0
KEPT = timedelta(days=7)
_STOP_PATIENCE_S = 5.0
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)

_log = logging.getLogger(__name__)


class MessageCounts:
    """Counts by day and home in memory, and adds them to the table every 15 s: a kill loses that much of the count."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: dict[int, dict[int, int]] = {}
        # While counts move from memory to the table nobody reads both.
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self, committed: list[Committed]) -> None:
        """A listener of the ingest path: an addition to a dictionary for each message."""
        day = committed[0].message.received_at // _DAY_MS
        counts = self._pending.get(day)
        if counts is None:
            counts = self._pending[day] = {}
        for device, _ in committed:
            home_id = device.home_id
            if home_id is not None:
                counts[home_id] = counts.get(home_id, 0) + 1

    async def today(self, session: AsyncSession, home_ids: Sequence[int]) -> dict[int, int]:
        """Messages of each of these homes since midnight UTC; homes without any are left out."""
        today = self._clock.now().date()
        query = select(HomeMessages.home_id, HomeMessages.messages)
        query = query.where(HomeMessages.day == today, HomeMessages.home_id.in_(home_ids))
        pending = self._pending.get((today - _EPOCH).days, {})
        async with self._turn:
            counts = {row.home_id: row.messages for row in await session.execute(query)}
            for home_id in home_ids:
                if home_id in pending:
                    counts[home_id] = counts.get(home_id, 0) + pending[home_id]
        return counts

    async def start(self) -> None:
        """Begin to write down what is counted."""
        self._task = asyncio.create_task(self._flush_regularly(), name="message-counts")

    async def stop(self) -> None:
        """Write down the rest and end."""
        if self._task is not None:
            # Not in the middle of a transaction: SQLite would stay locked for the last one.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_PATIENCE_S), self._turn:
                    self._task.cancel()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._flush()

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        if not self._pending:
            return
        async with self._turn:
            taken, self._pending = self._pending, {}
            try:
                await self._add(taken)
            except (SQLAlchemyError, OSError, RoostError) as error:
                _log.warning("The counts of messages wait, the database did not take them: %s", error)
                self._put_back(taken)

    async def _add(self, taken: dict[int, dict[int, int]]) -> None:
        # In the order of keys, so that two hubs on one database do not wait for each other in a circle.
        rows = [
            {"day": _EPOCH + timedelta(days=day), "home_id": home_id, "messages": count}
            for day, counts in sorted(taken.items())
            for home_id, count in sorted(counts.items())
        ]
        if not rows:
            return
        dialect = sqlite if self._database.dialect == "sqlite" else postgresql
        insert = dialect.insert(HomeMessages)
        total = HomeMessages.messages + insert.excluded.messages
        adding = insert.on_conflict_do_update(index_elements=["day", "home_id"], set_={"messages": total})
        async with self._database.write() as session:
            await session.execute(adding, rows)
            await session.execute(delete(HomeMessages).where(HomeMessages.day < self._clock.now().date() - KEPT))

    def _put_back(self, taken: dict[int, dict[int, int]]) -> None:
        for day, counts in taken.items():
            pending = self._pending.setdefault(day, {})
            for home_id, count in counts.items():
                pending[home_id] = pending.get(home_id, 0) + count
