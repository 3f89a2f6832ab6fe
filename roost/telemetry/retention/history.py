"""The log with what is no longer in it: readings from the archive, and buckets of those that were down-sampled.

For questions it takes the place of the log. Where the log has everything, it is the log that answers. Before a device's
horizon (see `horizons`) each window of time is read from the log first, then from where things go to: whatever is moved
meanwhile is found in both, and put together it is there once.
"""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from roost.core.blobs import Blobs
from roost.telemetry.log import CoarseRow, Log
from roost.telemetry.retention.horizons import Horizons, Known
from roost.telemetry.retention.rules import DAY_MS

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary
    from roost.telemetry.transfer.archive_reads import ArchivedReadings

Whole = Callable[[int, int], bool]

# What is read from the log at a time, if a day has no more; and so many rows of buckets.
WINDOW_ROWS = 65_536
COARSE_ROWS = 16
BATCH_PIECES = 256
MOST_ROWS = 2**31 - 1


class History:
    """Reads as `Log` does: the same methods, the same promises, with these differences.

    Buckets come as summaries, asked for or not: nothing finer is left of what they hold. They count where they begin.
    Pieces of one series do not overlap; those of different series may.
    Raises ArchiveUnavailable where the archive is needed and cannot be read.
    """

    def __init__(self, log: Log, horizons: Horizons, blobs: Blobs | None) -> None:
        """`blobs` is None where there is no archive."""
        self._log = log
        self._horizons = horizons
        self._blobs = blobs

    async def folded_before(self, device_ids: Iterable[int], since: int, keys: Sequence[str] = ()) -> int | None:
        """Up to when (ms) some of what these devices sent from `since` on may be there as buckets only."""
        known = await self._horizons.of(device_ids)
        some = (one.horizon for one in known.values() if one.horizon.sets)  # hardly any device of many has one
        latest = max((horizon.of(keys, folded=True) for horizon in some), default=since)
        return latest if latest > since else None

    async def folds_anything(self) -> bool:
        """Whether there may be buckets of any device."""
        return await self._horizons.any_folded()

    async def pieces(
        self, device_id: int, since: int, until: int, *, keys: Sequence[str] = (), whole: Whole | None = None
    ) -> "AsyncIterator[Frame | Summary]":
        """See `Log.pieces`."""
        position = since
        while position < until:
            known = await self._known(device_id)
            horizon = min(self._needed_until(known, keys), until)
            if position < horizon:
                older = _Older(self._log, self._blobs, device_id, known, keys=keys, whole=whole)
                async with aclosing(older.pieces(position, horizon)) as pieces:
                    async for piece in pieces:
                        yield piece
                position = horizon
                continue
            hot = cast("AsyncGenerator[Frame | Summary]", self._log.pieces(
                device_id, position, until, keys=keys, whole=whole
            ))  # fmt: skip
            async with aclosing(hot):
                async for piece in hot:
                    yield piece
                    position = _end_of(piece)
                    # Whoever takes the pieces slowly may see the horizon pass by.
                    if position < self._needed_until(await self._known(device_id), keys):
                        break
                else:
                    return

    async def batches(
        self, device_ids: Sequence[int], since: int, until: int, *, keys: Sequence[str] = (),
        whole: Whole | None = None,
    ) -> "AsyncGenerator[list[Frame | Summary], None]":  # fmt: skip
        """See `Log.batches`. What is known when it begins has to do: nothing goes before a question has its answer."""
        known = await self._horizons.of(device_ids)
        older = {
            device_id
            for device_id, one in known.items()
            if one.horizon.sets and since < min(self._needed_until(one, keys), until)
        }
        for alone, some in groupby(device_ids, key=older.__contains__):
            if alone:
                for device_id in some:
                    pieces = cast("Any", self.pieces(device_id, since, until, keys=keys, whole=whole))
                    async with aclosing(pieces), aclosing(_together(pieces)) as batches:
                        async for batch in batches:
                            yield batch
            else:
                async with aclosing(self._log.batches(list(some), since, until, keys=keys, whole=whole)) as batches:
                    async for batch in batches:
                        yield batch

    async def _known(self, device_id: int) -> Known:
        return (await self._horizons.of([device_id]))[device_id]

    def _needed_until(self, known: Known, keys: Sequence[str]) -> int:
        """Before which moment the log alone is not enough."""
        archived = self._blobs is not None and known.organization_id is not None
        return known.horizon.of(keys, folded=not archived)


class _Older:
    """One device's time before its horizon, a window after the other."""

    def __init__(
        self, log: Log, blobs: Blobs | None, device_id: int, known: Known, *, keys: Sequence[str], whole: Whole | None
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._device_id = device_id
        self._known = known
        self._keys = keys
        self._whole = whole

    async def pieces(self, since: int, until: int) -> "AsyncGenerator[Frame | Summary]":
        """What there is from `since` to before `until` (ms); whole days are looked at, so that no bucket is cut."""
        merging = await asyncio.to_thread(importlib.import_module, "roost.telemetry.retention.merging")
        position, last = since - since % DAY_MS, until + -until % DAY_MS
        async with AsyncExitStack() as opened:
            archive = await self._archive(opened)
            while position < last:
                coarse, end = await self._coarse(position, last)
                if archive is not None:
                    end = await archive.end_of_window(position, end)
                hot, end = await self._hot(position, end)
                rows = _within(coarse, position, end)
                if await self._log.coarse(self._device_id, position, end, MOST_ROWS) != rows:
                    continue  # some of it has just gone from the log into buckets
                archived = [] if archive is None else await archive.frames(position, end, self._keys)
                made = merging.pieces_of(
                    self._device_id, hot, archived, rows, span=(max(since, position), min(until, end)),
                    keys=self._keys, whole=self._whole,
                )  # fmt: skip
                for piece in await asyncio.to_thread(list, made):
                    yield piece
                position = end

    async def _archive(self, opened: AsyncExitStack) -> "ArchivedReadings | None":
        if self._blobs is None or self._known.organization_id is None:
            return None
        reads: Any = await asyncio.to_thread(importlib.import_module, "roost.telemetry.transfer.archive_reads")
        archive: ArchivedReadings = reads.ArchivedReadings(self._blobs, self._known.organization_id, self._device_id)
        opened.push_async_callback(archive.aclose)
        return archive

    async def _coarse(self, since: int, until: int) -> tuple[list[CoarseRow], int]:
        """Rows of buckets of the time from `since` on, and up to when these are all."""
        limit = COARSE_ROWS
        while True:
            rows = await self._log.coarse(self._device_id, since, until, limit)
            if len(rows) < limit:
                return rows, until
            if rows[-1].start > since:
                return rows, rows[-1].start
            limit *= 2

    async def _hot(self, since: int, until: int) -> "tuple[list[Frame], int]":
        """What the log has, and up to when that is: whole days where it is not all."""
        found: list[Any] = []
        rows = 0
        hot = cast("AsyncGenerator[Frame]", self._log.pieces(self._device_id, since, until, keys=self._keys))
        async with aclosing(hot):
            async for frame in hot:
                found.append(frame)
                rows += len(frame.times)
                end = _end_of(frame) // DAY_MS * DAY_MS
                if rows >= WINDOW_ROWS and end > since:
                    return found, end
        return found, until


async def _together(pieces: "AsyncIterator[Frame | Summary]") -> "AsyncGenerator[list[Frame | Summary], None]":
    """So many pieces at a time that what is done once for all of them costs little."""
    batch: list[Frame | Summary] = []
    rows = 0
    async for piece in pieces:
        batch.append(piece)
        rows += len(getattr(piece, "times", "."))
        if rows >= WINDOW_ROWS or len(batch) >= BATCH_PIECES:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _within(rows: Sequence[CoarseRow], since: int, until: int) -> list[CoarseRow]:
    return [row for row in rows if row.start < until and row.end > since]


def _end_of(piece: "Frame | Summary") -> int:
    """The moment after the last one of a piece."""
    times = getattr(piece, "times", None)
    return (cast("Summary", piece).end if times is None else int(times[-1])) + 1
