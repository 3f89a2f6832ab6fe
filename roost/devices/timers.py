"""What happens by itself: unclaimed devices are forgotten, rotated tokens and old lines of logs end."""

import asyncio
import contextlib
import logging

from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.credentials import end_expired
from roost.devices.joining import forget_unclaimed
from roost.devices.logs import forget_old_lines

_EVERY_S = 30.0
_STOP_PATIENCE_S = 5.0

logger = logging.getLogger(__name__)


class Housekeeping:
    """Clears away, every half minute, what time has ended."""

    def __init__(self, database: Database, clock: Clock, *, log_days: int) -> None:
        self._database = database
        self._clock = clock
        self._log_days = log_days
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> None:
        """Errors of the database pass through."""
        now = self._clock.now()
        async with self._turn, self._database.write() as session:
            await end_expired(session, now)
            await forget_unclaimed(session, now)
        more = True
        while more:
            async with self._turn, self._database.write() as session:
                more = await forget_old_lines(session, now, self._log_days)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="device-housekeeping")

    async def stop(self) -> None:
        # Not in the middle of a transaction: SQLite would stay locked for those who write their last words after this.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE_S), self._turn:
                await self._end()
        await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.run_once()
            except Exception as error:  # noqa: BLE001 - tried again in half a minute
                logger.warning("Devices could not be tidied up: %s", error)
