"""Carrying a plan out on PostgreSQL, also while hubs are writing and somebody is sealing.

As in `folder`: first the slices, then the blocks, and every step may be stopped anywhere and repeated.
"""

# ruff: noqa: S608 - every word of the statements is our own

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.log import CoarseRow, LogUnavailable, Row
from roost.telemetry.postgres import blocks, removing
from roost.telemetry.postgres.blocks import Meta
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.head import unsealed
from roost.telemetry.postgres.reads import read_block, read_events
from roost.telemetry.postgres.schema import COLUMNS, Slice, list_slices
from roost.telemetry.postgres.sealing import block_row, event_row
from roost.telemetry.postgres.slices import sealing_lock
from roost.telemetry.retention import coarse_table
from roost.telemetry.retention.coarse import (
    Coarse,
    by_period,
    decoded,
    encode,
    encoded,
    fold,
    naming_damage,
    united,
    without_old,
)
from roost.telemetry.retention.plan import Plan
from roost.telemetry.retention.rules import DAY_MS, Cutoffs, Guard
from roost.telemetry.retention.trimming import has_old, kept_events, trimmed, trimmed_rows

ROWS = 5_000
BLOCKS = 16
DEVICES = 500

# Those of many devices that have anything in this time: the others need not be asked one by one.
_DEVICES_WITH = """
SELECT d.id FROM unnest($1::bigint[], $2::bigint[]) AS d(id, cutoff) WHERE EXISTS (
    SELECT FROM telemetry.block WHERE device_id = d.id AND start_at < d.cutoff) OR EXISTS (
    SELECT FROM telemetry.event_block WHERE device_id = d.id AND start_at < d.cutoff) ORDER BY d.id
"""


async def apply_to_tables(connections: Connections, plan: Plan, now_ms: int, guard: Guard | None = None) -> int:
    """Deletes what is too old, but for the buckets that stay of it; the number of messages of which nothing is left.

    Raises:
        LogUnavailable: the database is away, or some block is damaged; it stays, and a later call goes on.
    """
    deleted = 0
    if plan.floor_days is not None:
        before = now_ms - plan.floor_days * DAY_MS
        if guard is None:
            deleted += await removing.prune(connections, before, now_ms)
        else:
            before = min(before, guard.complete_ms)
            deleted += await removing.prune(connections, before, now_ms, through_id=guard.through_id)
    cutoffs = plan.cutoffs(now_ms, guard)
    if not cutoffs:
        return deleted
    async with connections.changing() as connection:
        parts = [part for part in await list_slices(connection) if part.known_until is None]
    for part in parts:
        try:
            deleted += await _trim_slice(connections, part, cutoffs)
        except Moved:
            continue  # it is in the blocks by now
    coarse = await _devices_with_buckets(connections, plan)
    damaged: LogUnavailable | None = None
    async for device_id in _devices_with_blocks(connections, cutoffs):
        try:
            deleted += await _trim_device(connections, device_id, cutoffs[device_id])
            deleted += await _trim_events(connections, device_id, cutoffs[device_id])
        except LogUnavailable as error:
            damaged = _damage(error)
    for device_id in sorted(coarse & cutoffs.keys()):
        try:
            await _trim_coarse(connections, device_id, cutoffs[device_id])
        except LogUnavailable as error:
            damaged = _damage(error)
    if damaged is not None:
        raise damaged
    return deleted


def _damage(error: LogUnavailable) -> LogUnavailable:
    """What others need not suffer from; raises anything else."""
    if not isinstance(error.__cause__, DamagedBlock):
        raise error
    return error


async def _devices_with_blocks(connections: Connections, cutoffs: Mapping[int, Cutoffs]) -> AsyncIterator[int]:
    """Those of these devices that have something that may be too old."""
    device_ids = list(cutoffs)
    for first in range(0, len(device_ids), DEVICES):
        some = device_ids[first : first + DEVICES]
        async with connections.changing() as connection:
            rows = await connection.fetch(_DEVICES_WITH, some, [cutoffs[device_id].latest for device_id in some])
        for (device_id,) in rows:
            yield device_id


async def _devices_with_buckets(connections: Connections, plan: Plan) -> set[int]:
    """Those that have any; from now on there is a table for them, if it is needed."""
    async with connections.changing() as connection:
        if plan.folds:
            await sealing_lock(connection)
            await coarse_table.create(connection)
        return await coarse_table.devices_with(connection)


async def _trim_slice(connections: Connections, part: Slice, cutoffs: Mapping[int, Cutoffs]) -> int:
    deleted = last_id = 0
    latest = max(mine.outright.latest for mine in cutoffs.values())
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
                        damaged = _damage(error)
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
    if cutoffs.goes_wholly(meta.start, meta.end, meta.last_id):
        return True
    try:
        summary = decode_summary(meta.device_id, meta.start, meta.end, data)
    except DamagedBlock:
        return True  # the block itself says what is left of it
    return has_old(summary, cutoffs)


async def _trim_block(connection: Any, meta: Meta, cutoffs: Cutoffs) -> int:
    """Within the caller's transaction. Raises LogUnavailable for one that is damaged, and leaves it."""
    if cutoffs.goes_wholly(meta.start, meta.end, meta.last_id):
        return await blocks.remove(connection, "block", [meta])
    stretch = await read_block(connection, meta)
    kept = await asyncio.to_thread(trimmed, stretch, cutoffs)
    if kept is stretch:
        return 0
    folded = await asyncio.to_thread(fold, stretch, cutoffs)
    for buckets in await _with_folded(connection, meta.device_id, folded):
        await coarse_table.put(connection, meta.device_id, buckets)
    deleted = await blocks.remove(connection, "block", [meta])
    if kept is not None:
        row = await asyncio.to_thread(block_row, kept)
        await blocks.insert(connection, [row], [])
        deleted -= row.messages
    return deleted


async def _with_folded(connection: Any, device_id: int, folded: Sequence[Coarse]) -> list[CoarseRow]:
    """The rows of buckets as they are with these; nothing is changed yet. Raises LogUnavailable for damaged ones."""
    rows = []
    for coarse in folded:
        for (start, end), part in by_period(coarse).items():
            there = await coarse_table.row_at(connection, device_id, coarse.width_ms, start)
            if there is not None:
                with naming_damage(device_id, start):
                    part = united([decoded(device_id, there), part])  # noqa: PLW2901 - the part with what was there
            data = await asyncio.to_thread(encode, device_id, part)
            rows.append(CoarseRow(coarse.width_ms, start, end, data))
    return rows


async def _trim_coarse(connections: Connections, device_id: int, cutoffs: Cutoffs) -> None:
    """Takes away buckets that are too old; no messages are in them."""
    async with connections.changing() as connection:
        await sealing_lock(connection)
        for row in await coarse_table.rows_between(connection, device_id, 0, cutoffs.outright.latest):
            with naming_damage(device_id, row.start):
                known = decoded(device_id, row)
            left = without_old(known, cutoffs)
            if left is not known:
                kept = encoded(device_id, row, left)
                if kept is None:
                    await coarse_table.remove(connection, device_id, row)
                else:
                    await coarse_table.put(connection, device_id, kept)


async def _trim_events(connections: Connections, device_id: int, cutoffs: Cutoffs) -> int:
    deleted = 0
    async with connections.changing() as connection:
        if not await blocks.events_before(connection, device_id, 0, cutoffs.whole):
            return 0
        await sealing_lock(connection)
        metas, rows = [], []
        for meta in await blocks.events_before(connection, device_id, 0, cutoffs.whole):
            held = cutoffs.guard and cutoffs.guard.may_hold(meta.start, meta.end, meta.last_id)
            if meta.end >= cutoffs.whole or held:
                kept = kept_events(await read_events(connection, meta), cutoffs)
                if len(kept) == meta.rows:
                    continue
                if kept:
                    rows.append(event_row(kept))
            metas.append(meta)
        deleted += await blocks.remove(connection, "event_block", metas)
        await blocks.insert(connection, [], rows)
        deleted -= sum(row.rows for row in rows)
    return deleted
