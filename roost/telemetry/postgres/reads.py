"""Head and blocks read as one, within a snapshot of the caller; what is decoded is decoded in a thread."""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.pieces import FRAME_ROWS, Place, Room, Share, Whole, pieces_of, share_of
from roost.telemetry.blocks.sealed import SealedBlock, decoded, unreadable
from roost.telemetry.blocks.selection import is_wanted, newest_of, place_of
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import MessageFilter, Row
from roost.telemetry.postgres import blocks, head
from roost.telemetry.postgres.blocks import FOREVER, Meta, Table

# So many summaries are read at a time.
SUMMARIES = 1024
# Devices that are read at a time, and how many of them are always tried again after one with much of its own.
DEVICES = 256
FEW = 16
# So many tables are looked into at a time: planning takes its time for each.
MONTHS = 12


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
            return newest_of(decoded(meta.device_id, data, meta.name), limit, before_id, span)
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


class Pace:
    """How many devices are asked for at once: one of which there is much is read alone, and then more again."""

    def __init__(self, devices: int) -> None:
        self._most = min(devices, DEVICES)
        self.at_once = self._most

    def learn(self, before: Place | None, after: Place | None) -> None:
        """From where a batch began, and where the next one begins."""
        if after is None:
            return
        taken = after.number - (before.number if before is not None else 0)
        if taken < self.at_once and self.at_once > 1:
            self._most = max(min(self._most, FEW), self.at_once // 2)
        self.at_once = min(self._most, max(1, 2 * taken))


async def batch(
    connection: Any,
    device_ids: Sequence[int],
    place: Place | None,
    span: tuple[int, int],
    at_once: int,
    *,
    keys: Sequence[str],
    whole: Whole | None,
) -> tuple[Callable[[], list[Frame | Summary]], Place | None]:
    """Reads what the first pieces of the next devices need, `at_once` of them at most, as much as fits into memory.

    What makes the pieces of it, without the database, and where to go on: see `roost.telemetry.blocks.reads.batch`.
    """
    place = place or Place(0, span[0])
    some = device_ids[place.number : place.number + at_once]
    asked = [(device_id, place.since if number == 0 else span[0]) for number, device_id in enumerate(some)]
    most = max(1, FRAME_ROWS // at_once)
    late = await head.earliest(connection, asked, span[1], most)
    shares: list[tuple[Share, list[Row]]] = []
    room = Room(FRAME_ROWS, SUMMARIES)
    for (device_id, since), (sealed, until) in zip(
        asked, await _sealed(connection, asked, span[1], at_once, keys), strict=True
    ):
        share, room = share_of(device_id, (since, until), sealed, whole, room)
        rows, end = await _whole_moments(connection, share, late.get(device_id, []), most)
        shares.append((share.ending(end), rows))
        if end < span[1] or min(room) <= 0:
            break
    await _read_blocks(connection, [block for share, rows in shares for block in share.decoded(rows)])

    def make() -> list[Frame | Summary]:
        return [piece for share, rows in shares for piece in pieces_of(share, rows, keys=keys)]

    return make, place.after([share for share, _ in shares], len(device_ids), span)


async def _sealed(
    connection: Any, asked: Sequence[tuple[int, int]], until: int, at_once: int, keys: Sequence[str]
) -> list[tuple[list[SealedBlock], int]]:
    """The first blocks of each device, and the moment up to which these are all."""
    since = min(since for _, since in asked)
    months = [month.number for month in await blocks.list_months(connection)]
    months = [month for month in months if blocks.month_of(since) <= month <= blocks.month_of(until)]
    most = max(2, SUMMARIES // at_once)
    found: list[list[SealedBlock]] = [[] for _ in asked]
    ends = [until] * len(asked)
    for first in range(0, len(months), MONTHS):
        left = [number for number, end in enumerate(ends) if end == until]
        if not left:
            break
        last = months[min(first + MONTHS, len(months)) - 1]
        window = max(since, blocks.month_start(months[first])), min(until, blocks.month_start(last + 1))
        some = [(asked[number][0], max(asked[number][1], window[0])) for number in left]
        for number, metas in zip(left, await blocks.summaries_between(connection, some, window[1], most), strict=True):
            if len(metas) == most:
                ends[number] = metas.pop()[0].start
            found[number] += [SealedBlock(meta, summary, keys) for meta, summary in metas]
    return list(zip(found, ends, strict=True))


async def _read_blocks(connection: Any, sealed: Sequence[SealedBlock]) -> None:
    data = await blocks.contents(connection, "block", [block.meta for block in sealed])
    for block, packed in zip(sealed, data, strict=True):
        block.data = packed


async def _whole_moments(connection: Any, share: Share, rows: list[Row], limit: int) -> tuple[list[Row], int]:
    """The rows of the share without a moment of which some are missing, and where the next ones begin."""
    while len(rows) == limit and rows[-1].observed_at < share.until:
        last = rows[-1].observed_at
        if rows[0].observed_at < last:
            return [row for row in rows if row.observed_at < last], last
        limit *= 2
        found = await head.earliest(connection, [(share.device_id, share.since)], share.until, limit)
        rows = found[share.device_id]
    return rows, share.until


async def read_block(connection: Any, meta: Meta) -> Stretch:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    (data,) = await blocks.contents(connection, "block", [meta])
    return await asyncio.to_thread(decoded, meta.device_id, data, meta.name)


async def read_events(connection: Any, meta: Meta) -> list[Row]:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    (data,) = await blocks.contents(connection, "event_block", [meta])
    return await asyncio.to_thread(_decoded_events, meta, data)


def _decoded_events(meta: Meta, data: bytes) -> list[Row]:
    try:
        return decode_events(meta.device_id, data)
    except DamagedBlock as error:
        raise unreadable(f"{meta.name} (events)", error) from error
