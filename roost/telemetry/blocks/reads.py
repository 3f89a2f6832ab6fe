"""Messages and readings out of the blocks of SQLite, on the thread and within the snapshot of the caller."""

import heapq
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import apsw

from roost.telemetry.blocks import file
from roost.telemetry.blocks.codec import DamagedBlock, decode
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.pieces import FRAME_ROWS, SealedBlock, pieces_of
from roost.telemetry.blocks.selection import is_wanted, newest_of, place_of
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import LogUnavailable, MessageFilter, Row

logger = logging.getLogger(__name__)

# So many summaries are read at a time.
SUMMARIES = 1024

Whole = Callable[[int, int], bool]
# The rows of the slices from one moment to before another, by time and arrival, at most so many of the oldest.
Head = Callable[[int, int, int], list[Row]]


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


def pieces(
    connection: apsw.Connection | None,
    head: Head,
    device_id: int,
    span: tuple[int, int],
    *,
    keys: Sequence[str] = (),
    whole: Whole | None = None,
) -> tuple[list[Frame | Summary], int]:
    """The first pieces of the time span, as many as fit into memory at once, and where to go on (ms)."""
    since, until = span
    metas = [] if connection is None else file.blocks_between(connection, device_id, since, until, SUMMARIES)
    if len(metas) == SUMMARIES:
        until = metas.pop().start
    rows = 0
    for meta in metas:
        inside = since <= meta.start and meta.end < until
        if not (inside and whole is not None and whole(meta.start, meta.end)):
            if rows and rows + meta.rows > FRAME_ROWS:
                until = meta.start
                break
            rows += meta.rows
    late, until = _head_rows(head, since, until)
    blocks = [_sealed_block(connection, meta, keys) for meta in metas if connection and meta.start < until]
    return list(pieces_of(device_id, (since, until), late, blocks, keys=keys, whole=whole)), until


def _sealed_block(connection: apsw.Connection, meta: Meta, keys: Sequence[str]) -> SealedBlock:
    return SealedBlock(
        meta.start,
        meta.end,
        partial(read_block, connection, meta, keys),
        partial(_summary, connection, meta, keys),
    )


def _head_rows(head: Head, since: int, until: int) -> tuple[list[Row], int]:
    """The rows of the slices from `since` on, a bounded number of whole moments, and where the next ones begin."""
    limit = FRAME_ROWS
    while True:
        rows = head(since, until, limit)
        if len(rows) < limit:
            return rows, until
        last = rows[-1].observed_at
        if rows[0].observed_at < last:
            return [row for row in rows if row.observed_at < last], last
        limit *= 2


def read_block(connection: apsw.Connection, meta: Meta, keys: Sequence[str] = ()) -> Stretch:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    with _naming(meta, "Block"):
        return decode(meta.device_id, file.data_of(connection, "block", meta.id), keys)


def read_events(connection: apsw.Connection, meta: Meta) -> list[Row]:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    with _naming(meta, "Block of events"):
        return decode_events(meta.device_id, file.data_of(connection, "event_block", meta.id))


def _summary(connection: apsw.Connection, meta: Meta, keys: Sequence[str]) -> Summary:
    with _naming(meta, "Summary of block"):
        return decode_summary(meta.device_id, meta.start, meta.end, file.summary_of(connection, meta.id), keys)


@contextmanager
def _naming(meta: Meta, what: str) -> Iterator[None]:
    try:
        yield
    except DamagedBlock as error:
        message = f"{what} {meta.id} of device {meta.device_id} cannot be read: {error}"
        logger.error("%s See `roost telemetry verify`.", message)  # noqa: TRY400 - the sentence says it all
        raise LogUnavailable(message) from error


def _tagged(
    connection: apsw.Connection, table: str, device_id: int, before_id: int, span: tuple[int, int]
) -> Iterator[tuple[str, Meta]]:
    for meta in file.by_arrival(connection, table, device_id, before_id, span):
        yield table, meta
