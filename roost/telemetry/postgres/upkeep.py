"""What `roost telemetry` and the sealing child do to a whole database."""

# ruff: noqa: S608 - every word of the statements is our own

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from roost.core.clock import SystemClock, rfc3339_from_ms
from roost.telemetry.blocks.codec import DamagedBlock, decode
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.inspection import Size
from roost.telemetry.blocks.sealing import Sealed
from roost.telemetry.blocks.summaries import decode_summary, summarise
from roost.telemetry.postgres import blocks, head
from roost.telemetry.postgres.blocks import FOREVER, TABLES, Meta, Table, month_table
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres.schema import SIZE
from roost.telemetry.postgres.sealing import seal
from roost.telemetry.retention import coarse_table
from roost.telemetry.retention.coarse import damage_of

# Nobody waits for an answer, and a table of the version before may be large.
TIMEOUT_S = 3600
CHUNK = 50


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Connections]:
    connections = Connections(database_url, SystemClock(), timeout_s=TIMEOUT_S)
    try:
        yield connections
    finally:
        await connections.close()


async def seal_database(database_url: str, told: Callable[[str], None]) -> Sealed:
    """Seals every slice that is no longer written; `told` hears a line per slice. Raises LogUnavailable."""
    async with _connected(database_url) as connections:
        return await seal(connections, SystemClock().now_ms(), told)


async def list_sizes(database_url: str) -> list[Size]:
    """The slices, then the blocks of each month with their indexes, then what else there is. Raises LogUnavailable."""
    async with _connected(database_url) as connections, connections.snapshot() as connection:
        found = []
        for number, messages in await head.counts(connection):
            name = f"telemetry.head_{number}"
            found.append(Size(name, messages, None, await _bytes_of(connection, name)))
        for month in await blocks.list_months(connection):
            found += [await _month_size(connection, table, month.number) for table in TABLES]
        if await coarse_table.is_there(connection):
            found.append(Size("buckets", 0, None, await _bytes_of(connection, "telemetry.coarse")))
        rest = await connection.fetchval(SIZE) - sum(size.bytes for size in found)
        return [*found, Size("other tables", 0, None, rest)]


async def _month_size(connection: Any, table: Table, month: int) -> Size:
    name = month_table(table, month)
    columns = "sum(messages), sum(points)" if table == "block" else "sum(rows), NULL"
    messages, points = await connection.fetchrow(f"SELECT {columns} FROM {name}")
    size = await _bytes_of(connection, name)
    return Size(f"blocks: {name}", messages or 0, points, size)


async def _bytes_of(connection: Any, table: str) -> int:
    size: int = await connection.fetchval("SELECT pg_total_relation_size($1::text::regclass)", table)
    return size


async def tell_damages(database_url: str, told: Callable[[str], None]) -> bool:
    """Reads every block; `told` hears a sentence for each that is not as it was written. Whether there was any.

    Raises:
        LogUnavailable: not everything could be looked at.
    """
    damaged = False
    async with _connected(database_url) as connections:
        for table in TABLES:
            last: Meta | None = None
            while True:
                async with connections.snapshot() as connection:
                    metas = await blocks.after(connection, table, last, CHUNK)
                    contents = await blocks.contents(connection, table, metas)
                    summaries = await blocks.contents(connection, table, metas, "summary") if table == "block" else []
                for place, meta in enumerate(metas):
                    problem = _problem(meta, contents[place], summaries[place] if summaries else None)
                    if problem:
                        damaged = True
                        what = "Block" if table == "block" else "Block of events"
                        span = f"{rfc3339_from_ms(meta.start)} to {rfc3339_from_ms(meta.end)}"
                        told(f"{what} of device {meta.device_id}, {span}: {problem}")
                if len(metas) < CHUNK:
                    break
                last = metas[-1]
        async for sentence in _damaged_buckets(connections):
            damaged = True
            told(sentence)
    return damaged


async def _damaged_buckets(connections: Connections) -> AsyncIterator[str]:
    async with connections.snapshot() as connection:
        device_ids = sorted(await coarse_table.devices_with(connection))
    for device_id in device_ids:
        async with connections.snapshot() as connection:
            rows = await coarse_table.rows_between(connection, device_id, 0, FOREVER)
        for row in rows:
            sentence = damage_of(device_id, row)
            if sentence:
                yield sentence


def _problem(meta: Meta, data: bytes, summary: bytes | None) -> str | None:
    try:
        return _check_events(meta, data) if summary is None else _check_block(meta, data, summary)
    except DamagedBlock as error:
        return str(error)
    except (ValueError, TypeError) as error:
        return f"It cannot be read: {error}."


def _check_block(meta: Meta, data: bytes, summary: bytes) -> str | None:
    stretch = decode(meta.device_id, data)
    said = decode_summary(meta.device_id, meta.start, meta.end, summary)
    ids = stretch.ids
    found = Meta(
        meta.device_id, int(stretch.times[0]), int(stretch.times[-1]), int(ids.min()), int(ids.max()), stretch.rows
    )
    return None if found == meta and summarise(stretch) == said else "It says something else than its summary."


def _check_events(meta: Meta, data: bytes) -> str | None:
    rows = decode_events(meta.device_id, data)
    times = [row.observed_at for row in rows]
    found = Meta(meta.device_id, min(times), max(times), rows[0].id, rows[-1].id, len(rows))
    return None if found == meta else "It says something else than its place in the table."
