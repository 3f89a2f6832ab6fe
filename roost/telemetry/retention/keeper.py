"""Sees to it that policies are kept to: now and then, in a child process, so that nobody waits for it."""

import asyncio
import logging
import sys

import msgspec

from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError
from roost.core.processes import run_process
from roost.core.settings import Settings
from roost.core.tasks import end
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.retention.carrying import Order, make_order
from roost.telemetry.sqlite_log import SqliteLog

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "roost.telemetry.retention")
# A start has better things to do first; and whoever made a policy by mistake has some time to take it back.
FIRST_AFTER_S = 600.0
EVERY_S = 6 * 3600.0


class Keeper:
    """Asks every six hours what the policies are, and starts a child if there are any."""

    def __init__(self, settings: Settings, database: Database, log: Log, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="telemetry-retention")

    async def stop(self) -> None:
        """Ends a child that is at work: what it has not deleted is deleted by the next one."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def keep(self) -> int:
        """Deletes what is too old now; the number of messages of which nothing is left.

        Raises:
            LogUnavailable: not all of it could be deleted; another call goes on.
        """
        order = await make_order(self._database, self._settings, self._clock)
        if order is None:
            return 0
        deleted = await _in_child(order)
        if isinstance(self._log, SqliteLog):
            await self._log.let_go()
        return deleted

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            try:
                deleted = await self.keep()
                if deleted:
                    logger.info("retention: %d messages were too old and are deleted", deleted)
            except (*AWAY, LogUnavailable, RoostError) as error:
                logger.warning("what is too old could not be deleted, which is tried again in 6 h: %s", error)
            await asyncio.sleep(EVERY_S)


async def _in_child(order: Order) -> int:
    child = await run_process(COMMAND, msgspec.json.encode(order))
    if child.complaint is not None:
        raise LogUnavailable(child.complaint)
    return int(child.output)
