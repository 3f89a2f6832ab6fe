"""Messages and readings out of the blocks of SQLite, on the thread and within the snapshot of the caller."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import apsw

from roost.telemetry.blocks import file
from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.pieces import FRAME_ROWS, Place, Room, Share, Whole, pieces_of, share_of
from roost.telemetry.blocks.sealed import SealedBlock, decoded, unreadable
from roost.telemetry.blocks.selection import is_wanted, newest_of, place_of
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import MessageFilter, Row

# So many summaries are read at a time, of so many devices.
SUMMARIES = 1024
DEVICES = 256


class Head(Protocol):
    """The rows of the slices that are not in the blocks."""

    def devices(self, device_ids: Sequence[int], since: int, until: int) -> Collection[int]:
        """Those of the devices of which there may be something in this time (ms)."""

    def rows(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        """By time and arrival, at most so many of the oldest."""


def recent(
    connection: apsw.Connection, device_ids: Sequence[int], limit: int, wanted: MessageFilter, above_id: int
) -> list[Row]:
    """The last messages of these devices with ids above `above_id`, newest arrival first."""
    before_id = file.FOREVER if wanted.before_id is None else wanted.before_id
    span = (wanted.since or 0, file.FOREVER if wanted.until is None else wanted.until)
    only_events = wanted.events_only or wanted.event_type is not None
    tables = ("event_block",) if only_events else ("event_block", "block")
    blocks = heapq.merge(
        *(_tagged(connection, table, device_id, before_id, span) for table in tables for device_id in device_ids),
        key=lambda tagged: -tagged[1].last_id,
    )
    found: list[Row] = []
    enough = above_id
    for table, meta in blocks:
        if meta.last_id <= enough:
            break
        if table == "event_block":
            rows = [row for row in read_events(connection, meta) if is_wanted(row, wanted, before_id, span)]
        else:
            rows = newest_of(read_block(connection, meta), limit, before_id, span)
        found = heapq.nlargest(limit, [*found, *rows], key=lambda row: row.id)
        if len(found) == limit:
            enough = max(above_id, found[-1].id)
    return [row for row in found if row.id > above_id]


def between(connection: apsw.Connection, device_id: int, since: int, until: int, limit: int) -> list[Row]:
    """Messages of the time span by time and arrival, at most `limit` of the newest."""
    plain: list[Row] = []
    for meta in file.blocks_before(connection, device_id, since, until):
        if len(plain) >= limit:
            break
        stretch = read_block(connection, meta).between(since, until)
        plain += reversed(stretch.part(max(0, stretch.rows - limit), stretch.rows).messages())
    events: list[Row] = []
    for meta in file.events_before(connection, device_id, since, until):
        if len(events) >= limit and meta.end < min(row.observed_at for row in events):
            break
        rows = [row for row in read_events(connection, meta) if since <= row.observed_at < until]
        events = heapq.nlargest(limit, [*events, *rows], key=place_of)
    return sorted([*plain, *events], key=place_of)[-limit:]


def find(connection: apsw.Connection, message_id: int) -> Row | None:
    """An event by its id. Sealed messages that are no events are not found by theirs."""
    for meta in file.events_with(connection, message_id):
        for row in read_events(connection, meta):
            if row.id == message_id:
                return row
    return None


def batch(
    connection: apsw.Connection | None,
    head: Head,
    device_ids: Sequence[int],
    place: Place | None,
    span: tuple[int, int],
    *,
    keys: Sequence[str] = (),
    whole: Whole | None = None,
) -> tuple[list[Frame | Summary], Place | None]:
    """The first pieces of these devices from `place` on (None: from the beginning), and where to go on (None: done).

    As many as fit into memory at once.
    """
    place = place or Place(0, span[0])
    some = device_ids[place.number : place.number + DEVICES]
    shares = _shares(connection, some, place.since, span, keys=keys, whole=whole)
    heads = list(_with_heads(head, shares))
    blocks = [block for share, rows in heads for block in share.decoded(rows)]
    if connection is not None:
        data = file.contents(connection, [block.meta.id for block in blocks])
        for block, packed in zip(blocks, data, strict=True):
            block.data = packed
    pieces = [piece for share, rows in heads for piece in pieces_of(share, rows, keys=keys)]
    return pieces, place.after([share for share, _ in heads], len(device_ids), span)


def _shares(
    connection: apsw.Connection | None, device_ids: Sequence[int], first_since: int, span: tuple[int, int], *,
    keys: Sequence[str], whole: Whole | None,
) -> list[Share]:  # fmt: skip
    """What the blocks have of these devices, as much as fits into memory."""
    if connection is None:
        sinces = [first_since, *[span[0]] * (len(device_ids) - 1)]
        return [Share(device_id, since, span[1], ()) for device_id, since in zip(device_ids, sinces, strict=True)]
    shares: list[Share] = []
    room, since = Room(FRAME_ROWS, SUMMARIES), first_since
    with file.summaries_between(connection, device_ids, first_since, span) as found:
        sealed = (SealedBlock(meta, summary, keys) for meta, summary in found)
        by_device = groupby(sealed, key=lambda block: block.meta.device_id)
        following = next(by_device, None)
        for device_id in device_ids:
            blocks: Iterable[SealedBlock] = ()
            if following is not None and following[0] == device_id:
                blocks = following[1]
            share, room = share_of(device_id, (since, span[1]), blocks, whole, room)
            shares.append(share)
            since = span[0]
            if share.until < span[1] or min(room) <= 0:
                break
            if blocks:
                following = next(by_device, None)
    return shares


def _with_heads(head: Head, shares: Sequence[Share]) -> Iterator[tuple[Share, list[Row]]]:
    """What is not sealed of each share, as long as it fits into memory; the last share may end earlier than it did."""
    since, until = min(share.since for share in shares), max(share.until for share in shares)
    there = head.devices([share.device_id for share in shares], since, until)
    room = FRAME_ROWS
    for share in shares:
        if share.device_id not in there:
            yield share, []
            continue
        if room <= 0:
            return
        rows, end = _head_rows(head, share, room)
        yield share.ending(end), rows
        if end < share.until:
            return
        room -= len(rows)


def _head_rows(head: Head, share: Share, limit: int) -> tuple[list[Row], int]:
    """The rows of the slices from the share's start on, whole moments of them, and where the next ones begin."""
    while True:
        rows = head.rows(share.device_id, share.since, share.until, limit)
        if len(rows) < limit:
            return rows, share.until
        last = rows[-1].observed_at
        if rows[0].observed_at < last:
            return [row for row in rows if row.observed_at < last], last
        limit *= 2


def read_block(connection: apsw.Connection, meta: Meta) -> Stretch:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    return decoded(meta.device_id, file.data_of(connection, "block", meta.id), meta.name)


def read_events(connection: apsw.Connection, meta: Meta) -> list[Row]:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    try:
        return decode_events(meta.device_id, file.data_of(connection, "event_block", meta.id))
    except DamagedBlock as error:
        raise unreadable(f"{meta.name} (events)", error) from error


def _tagged(
    connection: apsw.Connection, table: str, device_id: int, before_id: int, span: tuple[int, int]
) -> Iterator[tuple[str, Meta]]:
    for meta in file.by_arrival(connection, table, device_id, before_id, span):
        yield table, meta
