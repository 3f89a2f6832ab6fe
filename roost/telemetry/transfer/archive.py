"""The archive: months that have ended, as Parquet files in the blob store, for readers that know nothing of Roost.

Nothing of what makes files is loaded before there is a month to write.
"""

import asyncio
import importlib
import logging
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy.exc import DBAPIError

from roost.core.blobs import Blobs, BlobsUnavailable
from roost.core.clock import Clock, rfc3339
from roost.core.database import Database
from roost.core.errors import RoostError
from roost.core.tasks import end
from roost.devices.repository import list_owners, list_uids
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.manifests import archived_months
from roost.telemetry.transfer.months import Month, months_between
from roost.telemetry.transfer.service import OPERATOR, READ

if TYPE_CHECKING:
    from roost.telemetry.transfer.partition import Partitions

logger = logging.getLogger(__name__)

EVERY_S = 3600.0
DAY_MS = 24 * 3600 * 1000
DEVICES_AT_ONCE = 5_000


class Done(NamedTuple):
    """How many months of organizations were written, were there already, or hold more than the log has."""

    written: int = 0
    same: int = 0
    kept: int = 0


class Archive:
    def __init__(
        self, log: Log, store: TelemetryStore, database: Database, blobs: Blobs, clock: Clock, *, after_days: int,
        scratch: Path,
    ) -> None:  # fmt: skip
        """A month is written `after_days` after its end; `scratch` is a folder for the file that is being made."""
        self._log = log
        self._store = store
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._after_ms = after_days * DAY_MS
        self._scratch = scratch
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
        """Months that ended long enough ago and are not in the archive, of all organizations.

        An organization whose newest such month is there is taken to be complete. With `again` every month from
        `first` (or the first data) on is compared, which takes late data and old history along.

        Raises LogUnavailable, BlobsUnavailable.
        """
        newest = Month.of(self._clock.now_ms() - self._after_ms).before()
        done = Done()
        async with self._database.read() as session:
            owners = await list_owners(session)
        for organization_id in owners:
            if self._complete.get(organization_id) == newest and not again:
                continue
            there = set(await archived_months(self._blobs, organization_id))
            if newest in there and not again:
                self._complete[organization_id] = newest
                continue
            uids = await self._uids(organization_id)
            start = first or await self._first_month(uids, newest) or newest
            for month in months_between(start, newest):
                if again or month not in there:
                    done = await self._write(organization_id, month, uids, done)
            self._complete[organization_id] = newest
        return done

    async def _write(self, organization_id: int, month: Month, uids: Mapping[int, str], done: Done) -> Done:
        partitions = await self._partitions()
        outcome = await partitions.write(organization_id, month, uids, rfc3339(self._clock.now()))
        if outcome == "kept":
            logger.warning(
                "the archive has more of %s of organization %s than the log; it stays as it is", month, organization_id
            )
        else:
            logger.info("archive: %s of organization %s is %s", month, organization_id, outcome)
        return done._replace(**{outcome: getattr(done, outcome) + 1})

    async def _partitions(self) -> "Partitions":
        module = await asyncio.to_thread(importlib.import_module, "roost.telemetry.transfer.partition")
        made: Partitions = module.Partitions(self._log, self._store, self._blobs, self._scratch)
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
            except (LogUnavailable, BlobsUnavailable, DBAPIError, RoostError, OSError) as error:
                logger.warning("the archive is not written, and tried again in an hour: %s", error)
            except Exception:
                logger.exception("the archive could not be written")
            await asyncio.sleep(EVERY_S)
