"""Deleting from slices and blocks: whole tables where that is possible, otherwise the edges."""

# ruff: noqa: S608 - every word of the statements is our own

import asyncio
import importlib
from collections.abc import Coroutine
from typing import Any

from roost.telemetry.postgres import blocks
from roost.telemetry.postgres.blocks import FOREVER, TABLES, Table, month_of, month_table
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.schema import Slice, list_slices
from roost.telemetry.postgres.slices import delete_rows, drop_slice, look_through, sealing_lock, with_locks
from roost.telemetry.retention import coarse_table

# So many blocks go in one transaction: whoever is sealing waits for milliseconds.
CHUNK = 200


async def delete_device(connections: Connections, device_id: int) -> None:
    """Deletes what a device has sent. Raises LogUnavailable; then it may be repeated."""
    for part in await _slices(connections):
        await _unless_gone(delete_rows(connections, part, "h.device_id = $1", device_id, even_sealed=True))
    for table in TABLES:
        await _in_chunks(connections, table, "device_id = $1", device_id)
    async with connections.changing() as connection:
        await sealing_lock(connection)
        await coarse_table.remove_device(connection, device_id)


async def prune(connections: Connections, before: int, now_ms: int, *, through_id: int = FOREVER) -> int:
    """Deletes what was observed before `before` (ms); the number of messages. Buckets go with what they are made of.

    What has a higher id than `through_id` may stay.

    Raises:
        LogUnavailable: something could not be deleted; a later call goes on.
    """
    deleted = 0
    # First the slices, then the blocks: what is sealed in between is found by the second step.
    for part in await _slices(connections):
        deleted += await _unless_gone(_prune_slice(connections, part, before, now_ms, through_id=through_id))
    async with connections.changing() as connection:
        months = await blocks.list_months(connection)
    for month in months:
        if month.number < month_of(before) and month.last_id <= through_id:
            deleted += await _drop_month(connections, month.number)
    for table in TABLES:
        condition = f"last_id <= {int(through_id)} AND start_at < $1"
        deleted += await _in_chunks(connections, table, condition, before, keep_from=before)
    async with connections.changing() as connection:
        if await coarse_table.is_there(connection):
            await sealing_lock(connection)
            await coarse_table.prune(connection, before)
            edges = await asyncio.to_thread(importlib.import_module, "roost.telemetry.postgres.edges")
            await edges.keep_buckets(connection, before)
    return deleted


async def _slices(connections: Connections) -> list[Slice]:
    async with connections.changing() as connection:
        return [part for part in await list_slices(connection) if part.known_until is None]


async def _unless_gone(deleting: Coroutine[Any, Any, int]) -> int:
    """Nothing is deleted from a slice that has been dropped in between."""
    try:
        return await deleting
    except Moved:
        return 0


async def _prune_slice(connections: Connections, part: Slice, before: int, now_ms: int, *, through_id: int) -> int:
    if part.closed_at is not None and await _last_id(connections, part) <= through_id:
        last = part.last_observed_at or await look_through(connections, part)
        if last is None or last < before:
            return await drop_slice(connections, part, now_ms)
    return await delete_rows(connections, part, f"h.id <= {int(through_id)} AND h.observed_at < $1", before)


async def _last_id(connections: Connections, part: Slice) -> int:
    async with connections.changing() as connection:
        return int(await connection.fetchval(f"SELECT coalesce(max(id), 0) FROM {part.table}"))


async def _drop_month(connections: Connections, month: int) -> int:
    async def drop(connection: Any) -> int:
        await sealing_lock(connection)
        messages = 0
        for table, column in (("block", "messages"), ("event_block", "rows")):
            name = month_table(table, month)  # type: ignore[arg-type]
            messages += await connection.fetchval(f"SELECT coalesce(sum({column}), 0)::bigint FROM {name}")
            await connection.execute(f"DROP TABLE {name}")
        await connection.execute("DELETE FROM telemetry.month WHERE month = $1", month)
        return messages

    return await with_locks(connections, drop)


async def _in_chunks(
    connections: Connections, table: Table, condition: str, value: int, *, keep_from: int | None = None
) -> int:
    """Deletes blocks, a few in each transaction, but for the messages from `keep_from` (ms) on; their number."""
    deleted = 0
    while True:
        async with connections.changing() as connection:
            await sealing_lock(connection)
            metas = await blocks.where(connection, table, condition, value, CHUNK)
            if keep_from is not None and any(meta.end >= keep_from for meta in metas):
                # Loaded when it is needed, as everything that decodes.
                edges = await asyncio.to_thread(importlib.import_module, "roost.telemetry.postgres.edges")
                deleted -= await edges.keep(connection, table, metas, keep_from)
            deleted += await blocks.remove(connection, table, metas)
        if len(metas) < CHUNK:
            return deleted
