"""Carrying a plan out on PostgreSQL, also while hubs are writing and somebody is sealing.

As in `folder`: first the slices, then the blocks, and every step may be stopped anywhere and repeated.
"""

# ruff: noqa: S608 - every word of the statements is our own

import asyncio
from collections.abc import Mapping
from typing import Any

from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.log import LogUnavailable, Row
from roost.telemetry.postgres import blocks, removing
from roost.telemetry.postgres.blocks import Meta
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.head import unsealed
from roost.telemetry.postgres.reads import read_block, read_events
from roost.telemetry.postgres.schema import COLUMNS, Slice, list_slices
from roost.telemetry.postgres.sealing import block_row, event_row
from roost.telemetry.postgres.slices import sealing_lock
from roost.telemetry.retention.plan import Plan
from roost.telemetry.retention.rules import DAY_MS, Cutoffs
from roost.telemetry.retention.trimming import has_old, trimmed, trimmed_rows

ROWS = 5_000
BLOCKS = 16
DEVICES = 500

# Those of many devices that have anything in this time: the others need not be asked one by one.
_DEVICES_WITH = """
SELECT d.id FROM unnest($1::bigint[], $2::bigint[]) AS d(id, cutoff) WHERE EXISTS (
    SELECT FROM telemetry.block WHERE device_id = d.id AND start_at < d.cutoff) OR EXISTS (
    SELECT FROM telemetry.event_block WHERE device_id = d.id AND start_at < d.cutoff) ORDER BY d.id
"""


async def apply_to_tables(connections: Connections, plan: Plan, now_ms: int) -> int:
    """Deletes what is too old; the number of messages of which nothing is left.

    Raises:
        LogUnavailable: the database is away, or some block is damaged; it stays, and a later call goes on.
    """
    deleted = 0
    if plan.floor_days is not None:
        deleted += await removing.prune(connections, now_ms - plan.floor_days * DAY_MS, now_ms)
    cutoffs = plan.cutoffs(now_ms)
    if not cutoffs:
        return deleted
    async with connections.changing() as connection:
        parts = [part for part in await list_slices(connection) if part.known_until is None]
    for part in parts:
        try:
            deleted += await _trim_slice(connections, part, cutoffs)
        except Moved:
            continue  # it is in the blocks by now
    device_ids = list(cutoffs)
    damaged: LogUnavailable | None = None
    for first in range(0, len(device_ids), DEVICES):
        some = device_ids[first : first + DEVICES]
        async with connections.changing() as connection:
            rows = await connection.fetch(_DEVICES_WITH, some, [cutoffs[device_id].latest for device_id in some])
        for (device_id,) in rows:
            for trim in (_trim_device, _trim_events):
                try:
                    deleted += await trim(connections, device_id, cutoffs[device_id])
                except LogUnavailable as error:
                    if not isinstance(error.__cause__, DamagedBlock):
                        raise
                    damaged = error
    if damaged is not None:
        raise damaged
    return deleted


async def _trim_slice(connections: Connections, part: Slice, cutoffs: Mapping[int, Cutoffs]) -> int:
    deleted = last_id = 0
    latest = max(mine.latest for mine in cutoffs.values())
    columns = ", ".join(f"h.{column}" for column in COLUMNS.split(", "))
    sql = (
        f"SELECT {columns} FROM {part.table} h WHERE h.id > $1 AND h.observed_at < $2 AND {unsealed(part.number)}"
        f" ORDER BY h.id LIMIT {ROWS}"
    )
    while True:
        async with connections.changing() as connection:
            rows = [Row(*row) for row in await connection.fetch(sql, last_id, latest)]
            gone, changed = await asyncio.to_thread(trimmed_rows, rows, cutoffs)
            if gone:
                await connection.execute(f"DELETE FROM {part.table} WHERE id = ANY($1::bigint[])", gone)
            if changed:
                await connection.execute(
                    f"UPDATE {part.table} h SET payload = n.payload, units = n.units"
                    " FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS n(id, payload, units) WHERE h.id = n.id",
                    [row.id for row in changed], [row.payload for row in changed], [row.units for row in changed],
                )  # fmt: skip
        deleted += len(gone)
        if len(rows) < ROWS:
            return deleted
        last_id = rows[-1].id


async def _trim_device(connections: Connections, device_id: int, cutoffs: Cutoffs) -> int:
    deleted = since = 0
    damaged: LogUnavailable | None = None
    while True:
        async with connections.changing() as connection:
            metas = await blocks.blocks_between(connection, device_id, since, cutoffs.latest, BLOCKS)
            if await _with_work(connection, metas, cutoffs):
                await sealing_lock(connection)
                # Again, now that nobody else changes them.
                metas = await blocks.blocks_between(connection, device_id, since, cutoffs.latest, BLOCKS)
                for meta in await _with_work(connection, metas, cutoffs):
                    try:
                        deleted += await _trim_block(connection, meta, cutoffs)
                    except LogUnavailable as error:
                        if not isinstance(error.__cause__, DamagedBlock):
                            raise
                        damaged = error
        if len(metas) < BLOCKS:
            break
        since = metas[-1].end + 1
    if damaged is not None:
        raise damaged
    return deleted


async def _with_work(connection: Any, metas: list[Meta], cutoffs: Cutoffs) -> list[Meta]:
    summaries = await blocks.contents(connection, "block", metas, "summary")
    return [meta for meta, data in zip(metas, summaries, strict=True) if _has_work(meta, data, cutoffs)]


def _has_work(meta: Meta, data: bytes, cutoffs: Cutoffs) -> bool:
    if meta.end < cutoffs.earliest:
        return True
    try:
        summary = decode_summary(meta.device_id, meta.start, meta.end, data)
    except DamagedBlock:
        return True  # the block itself says what is left of it
    return has_old(summary, cutoffs)


async def _trim_block(connection: Any, meta: Meta, cutoffs: Cutoffs) -> int:
    """Within the caller's transaction. Raises LogUnavailable for one that is damaged, and leaves it."""
    if meta.end < cutoffs.earliest:
        return await blocks.remove(connection, "block", [meta])
    stretch = await read_block(connection, meta)
    kept = await asyncio.to_thread(trimmed, stretch, cutoffs)
    if kept is stretch:
        return 0
    deleted = await blocks.remove(connection, "block", [meta])
    if kept is not None:
        row = await asyncio.to_thread(block_row, kept)
        await blocks.insert(connection, [row], [])
        deleted -= row.messages
    return deleted


async def _trim_events(connections: Connections, device_id: int, cutoffs: Cutoffs) -> int:
    deleted = 0
    async with connections.changing() as connection:
        if not await blocks.events_before(connection, device_id, 0, cutoffs.whole):
            return 0
        await sealing_lock(connection)
        metas = await blocks.events_before(connection, device_id, 0, cutoffs.whole)
        rows = []
        for meta in metas:
            if meta.end >= cutoffs.whole:
                kept = [row for row in await read_events(connection, meta) if row.observed_at >= cutoffs.whole]
                rows.append(event_row(kept))
        deleted += await blocks.remove(connection, "event_block", metas)
        await blocks.insert(connection, [], rows)
        deleted -= sum(row.rows for row in rows)
    return deleted
