"""What is stored, once a day: so that it can be said when the disk will be full."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import RoostError
from roost.ops.forecast import Stored
from roost.ops.models import StorageSample

EVERY_S = 3600.0
KEPT = timedelta(days=30)
_STOP_PATIENCE_S = 5.0

_log = logging.getLogger(__name__)


class StorageHistory:
    """Notes the first size of each day (UTC); of several processes one does it."""

    def __init__(self, database: Database, clock: Clock, measure: Callable[[], Awaitable[int | None]]) -> None:
        """`measure` says how many bytes are stored, None if that cannot be told now."""
        self._database = database
        self._clock = clock
        self._measure = measure
        # SQLite would stay locked if the task ended in the middle of a transaction.
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="storage-history")

    async def stop(self) -> None:
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_PATIENCE_S), self._turn:
                    self._task.cancel()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def samples(self) -> list[Stored]:
        """Of the last 30 days, oldest first."""
        query = select(StorageSample.at, StorageSample.bytes).order_by(StorageSample.day)
        query = query.where(StorageSample.day > (self._clock.now() - KEPT).date())
        async with self._database.read() as session:
            return [Stored(at, size) for at, size in await session.execute(query)]

    async def note(self) -> None:
        """Measure, unless it was done today."""
        now = self._clock.now()
        today = now.date()
        async with self._database.read() as session:
            if await session.get(StorageSample, today) is not None:
                return
        size = await self._measure()
        if size is None:
            return
        with contextlib.suppress(IntegrityError):  # another process was quicker
            async with self._turn, self._database.write() as session:
                session.add(StorageSample(day=today, at=now, bytes=size))
                await session.execute(delete(StorageSample).where(StorageSample.day <= (now - KEPT).date()))

    async def _run(self) -> None:
        while True:
            try:
                await self.note()
            except (RoostError, SQLAlchemyError, OSError) as error:
                _log.warning("what is stored could not be noted: %s", error)
            await asyncio.sleep(EVERY_S)
