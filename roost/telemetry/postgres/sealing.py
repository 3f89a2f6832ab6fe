"""Turning closed slices into blocks: a few devices in each transaction, repeatable, and safe to be stopped anywhere.

The blocks of a device and the mark that says so are one transaction, so that whoever reads in a snapshot finds each
message in one place. Several may do this at once: they take turns, and what one has done the other finds done.
"""

# ruff: noqa: S608 - every word of the statements is our own

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roost.telemetry.blocks import events
from roost.telemetry.blocks.codec import encode
from roost.telemetry.blocks.planning import Place, cut, plan, seal_units
from roost.telemetry.blocks.sealing import Sealed
from roost.telemetry.blocks.stretch import Stretch, joined
from roost.telemetry.blocks.summaries import encode_summary, summarise
from roost.telemetry.log import LogUnavailable, Row
from roost.telemetry.postgres import blocks
from roost.telemetry.postgres.blocks import BlockRow, EventRow, Meta, month_of, month_start
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.head import unsealed
from roost.telemetry.postgres.reads import read_block, read_events
from roost.telemetry.postgres.schema import COLUMNS, Slice, list_slices
from roost.telemetry.postgres.slices import drop_known, drop_slice, look_through, sealing_lock

logger = logging.getLogger(__name__)

# A transaction takes about this many rows: a stop loses little, and whoever else wants to change blocks waits shortly.
UNIT_ROWS = 16_384
LARGE_ROWS = 500_000
# Blocks of events below this many are put together once there are enough of them.
SMALL_EVENTS = 128
SMALL_RUN = 8


@dataclass(slots=True)
class _Change:
    """What a transaction takes away and puts in its place."""

    old_blocks: list[Meta] = field(default_factory=list)
    old_events: list[Meta] = field(default_factory=list)
    blocks: list[BlockRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)

    async def write(self, connection: Any) -> None:
        await blocks.remove(connection, "block", self.old_blocks)
        await blocks.remove(connection, "event_block", self.old_events)
        await blocks.insert(connection, self.blocks, self.events)


async def seal(connections: Connections, now_ms: int, told: Callable[[str], None] = lambda _: None) -> Sealed:
    """Seals every slice that is no longer written, also while hubs run; `told` hears a line per slice.

    Raises:
        LogUnavailable: the database is full or away; what was sealed so far stays sealed.
    """
    done = Sealed()
    async with connections.changing() as connection:
        slices = await list_slices(connection)
    for part in slices:
        if part.known_until is not None:
            if part.known_until < now_ms:
                await drop_known(connections, part)
        elif part.closed_at is not None:
            await _seal_slice(connections, part, now_ms, done, told)
    return done


async def _seal_slice(
    connections: Connections, part: Slice, now_ms: int, done: Sealed, told: Callable[[str], None]
) -> None:
    try:
        count, failed = await _seal_devices(connections, part)
        done.messages += count
        if failed:
            done.failed += 1
            told(f"{part.table} could not be sealed wholly: {failed}")
            return
        await drop_slice(connections, part, now_ms, only_sealed=True)
    except Moved:
        return  # somebody else has sealed it
    done.slices += 1
    told(f"{part.table}: {count:,} messages sealed.")


async def _seal_devices(connections: Connections, part: Slice) -> tuple[int, LogUnavailable | None]:
    """The number of messages sealed, and why a device could not be, if one could not: its rows stay in the slice."""
    failure: LogUnavailable | None = None
    total = 0
    if part.last_observed_at is None:
        await look_through(connections, part)
    async with connections.changing() as connection:
        counts = await connection.fetch(
            f"SELECT h.device_id, count(*) FROM {part.table} h WHERE {unsealed(part.number)} GROUP BY 1 ORDER BY 1"
        )
    for unit in seal_units([(device_id, count) for device_id, count in counts if count <= LARGE_ROWS], UNIT_ROWS):
        try:
            total += await _seal_unit(connections, part, unit)
        except _Damaged as error:
            failure = error
            for device_id in unit:
                try:
                    total += await _seal_unit(connections, part, [device_id])
                except _Damaged as again:
                    logger.warning("device %s stays in %s: %s", device_id, part.table, again)
    for device_id, count in counts:
        if count > LARGE_ROWS:
            try:
                total += await _seal_large(connections, part, device_id)
            except _Damaged as error:
                failure = error
    return total, failure


class _Damaged(LogUnavailable):
    """A block is in the way that cannot be read."""


async def _seal_unit(connections: Connections, part: Slice, unit: Sequence[int]) -> int:
    """One transaction. Rows are read inside of it: whoever deletes looks at the slices first and then at the blocks."""
    async with connections.changing() as connection:
        # It may be lost with a crash, marks and blocks together: the slice is there until a later commit drops it.
        await connection.execute("SET LOCAL synchronous_commit = off")
        await sealing_lock(connection)
        ours = await connection.fetch(
            "INSERT INTO telemetry.sealed (slice, device_id) SELECT $1, d FROM unnest($2::bigint[]) AS d"
            " ON CONFLICT DO NOTHING RETURNING device_id",
            part.number, list(unit),
        )  # fmt: skip
        found = await connection.fetch(
            f"SELECT {COLUMNS} FROM {part.table} WHERE device_id = ANY($1) ORDER BY device_id, observed_at, id",
            [row[0] for row in ours],
        )
        change = _Change()
        for month, rows in _by_month(found):
            await _seal_month(connection, month, rows, change)
        await change.write(connection)
    return len(found)


async def _seal_large(connections: Connections, part: Slice, device_id: int) -> int:
    """More rows of a device than fit into memory, as a table of the version before may have: the oldest first.

    Before the mark can be set they have to go from the slice row by row; this is not what slices of today come to.
    """
    total = 0
    while True:
        async with connections.changing() as connection:
            await sealing_lock(connection)
            until = await connection.fetchval(
                f"SELECT observed_at FROM {part.table} h WHERE device_id = $1 AND {unsealed(part.number)}"
                f" ORDER BY observed_at OFFSET {LARGE_ROWS // 2} LIMIT 1",
                device_id,
            )
            found = []
            if until is not None:
                found = await connection.fetch(
                    f"DELETE FROM {part.table} WHERE device_id = $1 AND observed_at < $2 RETURNING {COLUMNS}",
                    device_id, until,
                )  # fmt: skip
            found.sort(key=lambda record: (record["observed_at"], record["id"]))
            change = _Change()
            for month, rows in _by_month(found):
                await _seal_month(connection, month, rows, change)
            await change.write(connection)
        total += len(found)
        if not found:  # what is left fits, or is one moment
            return total + await _seal_unit(connections, part, [device_id])


def _by_month(records: Sequence[Any]) -> Iterator[tuple[int, dict[int, list[Row]]]]:
    """The rows of each month by device, as they come: by time and arrival."""
    months: dict[int, dict[int, list[Row]]] = {}
    month = end = -1
    for record in records:
        row = Row(*record)
        if not (month_start(month) if month >= 0 else end) <= row.observed_at < end:
            month = month_of(row.observed_at)
            end = month_start(month + 1)
        months.setdefault(month, {}).setdefault(row.device_id, []).append(row)
    yield from sorted(months.items())


async def _seal_month(connection: Any, month: int, rows: dict[int, list[Row]], change: _Change) -> None:
    there = await blocks.in_month(connection, "block", list(rows), month)
    documents = {
        device_id: sorted((row for row in its if row.event_type is not None), key=lambda row: row.id)
        for device_id, its in rows.items()
        if any(row.event_type is not None for row in its)
    }
    events_there = await blocks.in_month(connection, "event_block", list(documents), month) if documents else {}
    for device_id, its in rows.items():
        new = Stretch.of(device_id, its)
        if new.rows:
            await _join(connection, there.get(device_id, []), new, change)
    for device_id, its in documents.items():
        await _join_events(connection, events_there.get(device_id, []), its, change)


async def _join(connection: Any, there: Sequence[Meta], new: Stretch, change: _Change) -> None:
    """Rows of a device into its blocks of the month."""
    places = [Place(number, meta.start, meta.end, meta.rows) for number, meta in enumerate(there)]
    for rewrite in plan(places, new.times):
        old = [there[place.id] for place in rewrite.places]
        try:
            parts = [new.part(rewrite.first, rewrite.stop), *[await read_block(connection, meta) for meta in old]]
        except LogUnavailable as error:
            raise _Damaged(str(error)) from error
        change.old_blocks += old
        change.blocks += map(block_row, cut(joined(parts)))


def block_row(stretch: Stretch) -> BlockRow:
    """A stretch of rows as it is kept."""
    summary = summarise(stretch)
    event_rows = 0 if stretch.events is None else int(np.count_nonzero(stretch.events))
    return BlockRow(
        stretch.device_id, summary.start, summary.end, int(stretch.ids.min()), int(stretch.ids.max()), stretch.rows,
        stretch.rows - event_rows, sum(column.count for column in summary.columns.values()), encode_summary(summary),
        encode(stretch),
    )  # fmt: skip


async def _join_events(connection: Any, there: Sequence[Meta], rows: list[Row], change: _Change) -> None:
    """Events of a device into its blocks of the month: the last ones are put together once there are enough."""
    first = len(there)
    while first and there[first - 1].rows < SMALL_EVENTS:
        first -= 1
    small = there[first:]
    if len(small) >= SMALL_RUN - 1:
        try:
            old = [row for meta in small for row in await read_events(connection, meta)]
        except LogUnavailable as error:
            raise _Damaged(str(error)) from error
        change.old_events += small
        rows = sorted([*old, *rows], key=lambda row: row.id)
    change.events += map(event_row, events.cut_events(rows))


def event_row(rows: Sequence[Row]) -> EventRow:
    """Events of a device, ids ascending, as they are kept."""
    times = [row.observed_at for row in rows]
    device_id = rows[0].device_id
    return EventRow(
        device_id, min(times), max(times), rows[0].id, rows[-1].id, len(rows), events.encode_events(device_id, rows)
    )
