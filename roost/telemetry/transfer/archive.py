"""The archive: months that have ended, as Parquet files in the blob store, for readers that know nothing of Roost.

Nothing of what makes files is loaded before there is a month to write.
"""

import asyncio
import importlib
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import apsw

from roost.core.blobs import Blobs, BlobsUnavailable
from roost.core.clock import Clock, rfc3339
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError
from roost.core.settings import Settings
from roost.core.tasks import end
from roost.devices.repository import list_owners, list_uids
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.late import Late, late_in_folder
from roost.telemetry.transfer.manifests import archived_months
from roost.telemetry.transfer.months import Month, months_between
from roost.telemetry.transfer.service import OPERATOR, READ
from roost.telemetry.transfer.turns import AnotherWrites, Turn, archive_turn

if TYPE_CHECKING:
    from roost.telemetry.transfer.partition import Partitions

logger = logging.getLogger(__name__)

EVERY_S = 3600.0
DAY_MS = 24 * 3600 * 1000
DEVICES_AT_ONCE = 5_000
# Looking for what is late is one statement for each table, of which there may be many large ones.
TIMEOUT_S = 60


class Done(NamedTuple):
    """How many months of organizations were written, and how many were looked at and had nothing new."""

    written: int = 0
    same: int = 0


class Archive:
    def __init__(
        self, log: Log, store: TelemetryStore, database: Database, blobs: Blobs, clock: Clock, *, settings: Settings
    ) -> None:
        self._log = log
        self._store = store
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        # By organization, what was found or made complete: nothing is asked for every hour a whole month long.
        self._complete: dict[int, Month] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write what is due, now and every hour."""
        self._task = asyncio.create_task(self._run(), name="telemetry-archive")

    async def stop(self) -> None:
        """What is being written is given up; the next start begins it anew."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def write_due(self, *, first: Month | None = None, again: bool = False) -> Done:
        """Months that ended long enough ago, and those in which something has arrived since they were written.

        An organization whose newest such month is there is taken to be complete but for what is late. With `again`
        every month from `first` (or the first data) on is compared. What is late is written whatever `first` is:
        retention takes what has been looked at for archived.

        Raises LogUnavailable, BlobsUnavailable, FileNotFoundError, AnotherWrites.
        """
        newest = newest_due(self._clock, self._settings)
        done = Done()
        async with archive_turn(self._database, self._clock) as turn:
            late = await self._late(turn.through_id, newest.end_ms)
            async with self._database.read() as session:
                owners = await list_owners(session)
            for organization_id in owners:
                uids: dict[int, str] | None = None
                touched: set[Month] = set()
                if late.months:
                    uids = await self._uids(organization_id)
                    touched = set().union(*(late.months.get(device_id, ()) for device_id in uids))
                for month in await self._due(organization_id, newest, uids, touched, first=first, again=again):
                    uids = uids if uids is not None else await self._uids(organization_id)
                    await turn.keep()
                    done = await self._write(turn, organization_id, month, uids, done=done)
                self._complete[organization_id] = newest
            await turn.done(late.last_id, newest.end_ms)
        return done

    async def _due(
        self, organization_id: int, newest: Month, uids: dict[int, str] | None, touched: set[Month], *,
        first: Month | None, again: bool,
    ) -> list[Month]:  # fmt: skip
        """The months to write, ascending."""
        if not again:
            if self._complete.get(organization_id) == newest:
                return sorted(touched)
            there = set(await archived_months(self._blobs, organization_id))
            if newest in there:
                return sorted(touched)
        uids = uids if uids is not None else await self._uids(organization_id)
        start = first or await self._first_month(uids, newest) or newest
        months = months_between(start, newest)
        return sorted(touched.union(months if again else (month for month in months if month not in there)))

    async def _write(
        self, turn: Turn, organization_id: int, month: Month, uids: Mapping[int, str], *, done: Done
    ) -> Done:
        partitions = await self._partitions()
        outcome = await partitions.write(organization_id, month, uids, rfc3339(self._clock.now()), keep=turn.keep)
        logger.info("archive: %s of organization %s is %s", month, organization_id, outcome)
        return done._replace(**{outcome: getattr(done, outcome) + 1})

    async def _late(self, after_id: int, before_ms: int) -> Late:
        if self._database.dialect == "sqlite":
            folder = self._settings.data_dir / "telemetry"
            try:
                return await asyncio.to_thread(late_in_folder, folder, after_id, before_ms)
            except (apsw.Error, OSError) as error:
                raise LogUnavailable(str(error)) from error
        module: Any = await asyncio.to_thread(importlib.import_module, "roost.telemetry.transfer.late_tables")
        found: Late
        connections = module.Connections(self._settings.database_url, self._clock, timeout_s=TIMEOUT_S)
        try:
            found = await module.late_in_tables(connections, after_id, before_ms)
        finally:
            await connections.close()
        return found

    async def _partitions(self) -> "Partitions":
        module = await asyncio.to_thread(importlib.import_module, "roost.telemetry.transfer.partition")
        scratch = self._settings.data_dir / "archive"
        made: Partitions = module.Partitions(self._log, self._store, self._blobs, scratch)
        return made

    async def _uids(self, organization_id: int) -> dict[int, str]:
        uids: dict[int, str] = {}
        while True:
            async with self._database.read() as session:
                page = await list_uids(
                    session, OPERATOR, READ, organization_id=organization_id, from_id=max(uids, default=0) + 1,
                    limit=DEVICES_AT_ONCE,
                )  # fmt: skip
            uids.update(page)
            if len(page) < DEVICES_AT_ONCE:
                return uids

    async def _first_month(self, uids: Mapping[int, str], newest: Month) -> Month | None:
        """The month of the first data of these devices, if that is no later than `newest`."""
        first: int | None = None
        for device_id in uids:
            until = newest.end_ms if first is None else Month.of(first).start_ms
            # Without a part that starts earlier, nothing of it is read.
            pieces = cast("Any", self._log.pieces(device_id, 0, until, whole=lambda _start, _end: True))
            async with aclosing(pieces):
                async for piece in pieces:
                    first = int(piece.times[0]) if hasattr(piece, "times") else int(piece.start)
                    break
        return None if first is None else Month.of(first)

    async def _run(self) -> None:
        while True:
            try:
                await self.write_due()
            except AnotherWrites:
                pass  # a worker beside this one
            except (*AWAY, LogUnavailable, BlobsUnavailable, RoostError) as error:
                logger.warning("the archive is not written, and tried again in an hour: %s", error)
            except Exception:
                logger.exception("the archive could not be written")
            await asyncio.sleep(EVERY_S)


def newest_due(clock: Clock, settings: Settings) -> Month:
    """The last month that ended as long ago as it takes to be written."""
    return Month.of(clock.now_ms() - settings.archive_after_days * DAY_MS).before()
