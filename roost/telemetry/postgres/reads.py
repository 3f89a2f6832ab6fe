"""Head and blocks read as one, within a snapshot of the caller; what is decoded is decoded in a thread."""

import asyncio
import heapq
import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

from roost.telemetry.blocks import pieces as as_one
from roost.telemetry.blocks.codec import DamagedBlock, decode
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.selection import is_wanted, newest_of, place_of
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import LogUnavailable, MessageFilter, Row
from roost.telemetry.postgres import blocks, head
from roost.telemetry.postgres.blocks import FOREVER, Meta, Table

logger = logging.getLogger(__name__)

# So many summaries are read at a time.
SUMMARIES = 1024
# So many tables are looked into at a time: planning takes its time for each.
MONTHS = 12

Whole = Callable[[int, int], bool]


async def recent(
    connection: Any, device_ids: Sequence[int], limit: int, wanted: MessageFilter, above_id: int
) -> list[Row]:
    """The last sealed messages of these devices with ids above `above_id`, newest arrival first."""
    before_id = FOREVER if wanted.before_id is None else wanted.before_id
    span = (wanted.since or 0, FOREVER if wanted.until is None else wanted.until)
    tables: list[Table] = ["event_block"]
    if not wanted.events_only and wanted.event_type is None:
        tables.append("block")
    months = [
        month
        for month in await blocks.list_months(connection)
        if month.first_id < before_id and blocks.month_of(span[0]) <= month.number <= blocks.month_of(span[1])
    ]
    months.sort(key=lambda month: -month.last_id)
    newest = _Newest(limit, above_id)

    def rows_of(table: Table, meta: Meta, data: bytes) -> list[Row]:
        if table == "block":
            return newest_of(_decoded(meta, data, ()), limit, before_id, span)
        return [row for row in _decoded_events(meta, data) if is_wanted(row, wanted, before_id, span)]

    for month, table in product(months, tables):
        if month.last_id <= newest.enough:
            break
        within = _overlap(span, month.number)
        async for some in blocks.by_arrival(connection, table, device_ids, (newest.enough, before_id), within):
            metas = [meta for meta in some if meta.last_id > newest.enough]
            if not metas:
                break
            data = await blocks.contents(connection, table, metas)
            await asyncio.to_thread(newest.take, metas, data, partial(rows_of, table))
    return newest.rows


def _overlap(span: tuple[int, int], month: int) -> tuple[int, int]:
    return max(span[0], blocks.month_start(month)), min(span[1], blocks.month_start(month + 1))


class _Newest:
    """The last `limit` messages of those that come, all with ids above `enough`."""

    def __init__(self, limit: int, above_id: int) -> None:
        self.rows: list[Row] = []
        self.enough = above_id
        self._limit = limit

    def take(self, metas: Sequence[Meta], data: Sequence[bytes], rows_of: Callable[[Meta, bytes], list[Row]]) -> None:
        """Decodes blocks, those that arrived last first, as long as there may be something in them."""
        for meta, packed in zip(metas, data, strict=True):
            if meta.last_id <= self.enough:
                return
            rows = [row for row in rows_of(meta, packed) if row.id > self.enough]
            self.rows = heapq.nlargest(self._limit, [*self.rows, *rows], key=lambda row: row.id)
            if len(self.rows) == self._limit:
                self.enough = self.rows[-1].id


async def between(connection: Any, device_id: int, since: int, until: int, limit: int) -> list[Row]:
    """Sealed messages of the time span by time and arrival, at most `limit` of the newest."""
    found: list[Row] = []
    for window in blocks.windows(await blocks.list_months(connection), since, until):
        if len(found) >= limit:
            break
        found += await _plain_between(connection, device_id, window, limit)
        found += await _events_between(connection, device_id, window, limit)
    return heapq.nlargest(limit, found, key=place_of)[::-1]


async def _plain_between(connection: Any, device_id: int, span: tuple[int, int], limit: int) -> list[Row]:
    """The newest messages that are no events, in no order."""
    found: list[Row] = []
    async for meta in blocks.blocks_before(connection, device_id, *span):
        if len(found) >= limit:
            break
        stretch = (await read_block(connection, meta)).between(*span)
        found += await asyncio.to_thread(stretch.part(max(0, stretch.rows - limit), stretch.rows).messages)
    return found


async def _events_between(connection: Any, device_id: int, span: tuple[int, int], limit: int) -> list[Row]:
    """The newest events, the last one first."""
    found: list[Row] = []
    for meta in await blocks.events_before(connection, device_id, *span):
        if len(found) >= limit and meta.end < found[-1].observed_at:
            break
        rows = [row for row in await read_events(connection, meta) if span[0] <= row.observed_at < span[1]]
        found = heapq.nlargest(limit, [*found, *rows], key=place_of)
    return found


async def find(connection: Any, message_id: int) -> Row | None:
    """A sealed event by its id. Messages that are no events are not found by theirs."""
    for meta in await blocks.events_with(connection, message_id):
        for row in await read_events(connection, meta):
            if row.id == message_id:
                return row
    return None


async def pieces(
    connection: Any, device_id: int, span: tuple[int, int], keys: Sequence[str], whole: Whole | None
) -> tuple[Callable[[], list[Frame | Summary]], int]:
    """Reads what the first pieces of the time span need, as many as fit into memory at once.

    What makes the pieces of it, without the database, and where to go on (ms).
    """
    since, until = span
    months = [number for number, _, _ in await blocks.list_months(connection) if number >= blocks.month_of(since)]
    if len(months) > MONTHS:
        until = min(until, blocks.month_start(months[MONTHS]))
    metas = await blocks.blocks_between(connection, device_id, since, until, SUMMARIES)
    if len(metas) == SUMMARIES:
        until = metas.pop().start
    until = _end_of_frames(metas, since, until, whole)
    late, until = await _head_rows(connection, device_id, since, until)
    metas = [meta for meta in metas if meta.start < until]
    summed: list[Meta] = []
    decoded: list[Meta] = []
    for meta in metas:
        is_summed = _is_whole(meta, since, until, whole) and not _has_rows(late, meta)
        (summed if is_summed else decoded).append(meta)
    data = dict(zip(decoded, await blocks.contents(connection, "block", decoded), strict=True))
    summaries = dict(zip(summed, await blocks.contents(connection, "block", summed, "summary"), strict=True))
    sealed = [
        as_one.SealedBlock(
            meta.start,
            meta.end,
            lambda meta=meta: _decoded(meta, data[meta], keys),  # type: ignore[misc]
            lambda meta=meta: _summary(meta, summaries[meta], keys),  # type: ignore[misc]
        )
        for meta in metas
    ]

    def make() -> list[Frame | Summary]:
        return list(as_one.pieces_of(device_id, (since, until), late, sealed, keys=keys, whole=whole))

    return make, until


def _end_of_frames(metas: Sequence[Meta], since: int, until: int, whole: Whole | None) -> int:
    """Where the blocks that have to be decoded are more than should be in memory."""
    rows = 0
    for meta in metas:
        if not _is_whole(meta, since, until, whole):
            if rows and rows + meta.rows > as_one.FRAME_ROWS:
                return meta.start
            rows += meta.rows
    return until


def _is_whole(meta: Meta, since: int, until: int, whole: Whole | None) -> bool:
    return since <= meta.start and meta.end < until and whole is not None and whole(meta.start, meta.end)


def _has_rows(late: Sequence[Row], meta: Meta) -> bool:
    place = bisect_left(late, meta.start, key=lambda row: row.observed_at)
    return place < len(late) and late[place].observed_at <= meta.end


async def _head_rows(connection: Any, device_id: int, since: int, until: int) -> tuple[list[Row], int]:
    """The rows of the slices from `since` on, a bounded number of whole moments, and where the next ones begin."""
    limit = as_one.FRAME_ROWS
    while True:
        rows = await head.earliest(connection, device_id, since, until, limit)
        if len(rows) < limit:
            return rows, until
        last = rows[-1].observed_at
        if rows[0].observed_at < last:
            return [row for row in rows if row.observed_at < last], last
        limit *= 2


async def read_block(connection: Any, meta: Meta) -> Stretch:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    (data,) = await blocks.contents(connection, "block", [meta])
    return await asyncio.to_thread(_decoded, meta, data, ())


async def read_events(connection: Any, meta: Meta) -> list[Row]:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    (data,) = await blocks.contents(connection, "event_block", [meta])
    return await asyncio.to_thread(_decoded_events, meta, data)


def _decoded(meta: Meta, data: bytes, keys: Sequence[str]) -> Stretch:
    with _naming(meta, "The block"):
        return decode(meta.device_id, data, keys)


def _decoded_events(meta: Meta, data: bytes) -> list[Row]:
    with _naming(meta, "The block of events"):
        return decode_events(meta.device_id, data)


def _summary(meta: Meta, data: bytes, keys: Sequence[str]) -> Summary:
    with _naming(meta, "The summary of the block"):
        return decode_summary(meta.device_id, meta.start, meta.end, data, keys)


@contextmanager
def _naming(meta: Meta, what: str) -> Iterator[None]:
    try:
        yield
    except DamagedBlock as error:
        message = f"{what} of device {meta.device_id} from {meta.start} to {meta.end} cannot be read: {error}"
        logger.error("%s See `roost telemetry verify`.", message)  # noqa: TRY400 - the sentence says it all
        raise LogUnavailable(message) from error
