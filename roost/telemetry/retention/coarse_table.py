"""Where buckets stand on PostgreSQL: a table beside those of the sealed blocks, made with the first of them.

So what goes out of a block and into a bucket does so in one transaction.
"""

from typing import Any

from roost.telemetry.log import CoarseRow

_SCHEMA = """
CREATE TABLE IF NOT EXISTS telemetry.coarse (
    device_id bigint NOT NULL, width_ms bigint NOT NULL, start_at bigint NOT NULL, end_at bigint NOT NULL,
    data bytea NOT NULL, PRIMARY KEY (device_id, start_at, width_ms))
"""
_ROW = "width_ms, start_at, end_at, data"


async def is_there(connection: Any) -> bool:
    """Whether there ever was a bucket."""
    return bool(await connection.fetchval("SELECT to_regclass('telemetry.coarse') IS NOT NULL"))


async def create(connection: Any) -> None:
    """Within the caller's transaction, which holds the lock of those who seal."""
    await connection.execute(_SCHEMA)


async def rows_between(connection: Any, device_id: int, since: int, until: int, limit: int = 2**31) -> list[CoarseRow]:
    """See `Log.coarse`."""
    if not await is_there(connection):
        return []
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM telemetry.coarse WHERE device_id = $1 AND start_at < $2 AND end_at > $3"  # noqa: S608
        " ORDER BY start_at, width_ms LIMIT $4",
        device_id, until, since, limit,
    )  # fmt: skip
    return [CoarseRow(*row) for row in rows]


async def row_at(connection: Any, device_id: int, width_ms: int, start: int) -> CoarseRow | None:
    """The row of one period."""
    row = await connection.fetchrow(
        f"SELECT {_ROW} FROM telemetry.coarse WHERE device_id = $1 AND width_ms = $2 AND start_at = $3",  # noqa: S608
        device_id, width_ms, start,
    )  # fmt: skip
    return None if row is None else CoarseRow(*row)


async def put(connection: Any, device_id: int, row: CoarseRow) -> None:
    """In place of the row of that period, within the caller's transaction."""
    await connection.execute(
        "INSERT INTO telemetry.coarse (device_id, width_ms, start_at, end_at, data) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (device_id, start_at, width_ms) DO UPDATE SET end_at = excluded.end_at, data = excluded.data",
        device_id, *row,
    )  # fmt: skip


async def remove(connection: Any, device_id: int, row: CoarseRow) -> None:
    await connection.execute(
        "DELETE FROM telemetry.coarse WHERE device_id = $1 AND width_ms = $2 AND start_at = $3",
        device_id, row.width_ms, row.start,
    )  # fmt: skip


async def remove_device(connection: Any, device_id: int) -> None:
    """All of them."""
    if await is_there(connection):
        await connection.execute("DELETE FROM telemetry.coarse WHERE device_id = $1", device_id)


async def prune(connection: Any, before: int) -> None:
    """Takes away the rows of all devices that have ended by then (ms)."""
    await connection.execute("DELETE FROM telemetry.coarse WHERE end_at <= $1", before)


async def rows_across(connection: Any, moment: int) -> list[tuple[int, CoarseRow]]:
    """With their devices, the rows that have begun by this moment (ms) and not ended."""
    rows = await connection.fetch(
        f"SELECT device_id, {_ROW} FROM telemetry.coarse WHERE start_at < $1 AND end_at > $1",  # noqa: S608 - own words
        moment,
    )
    return [(device_id, CoarseRow(*row)) for device_id, *row in rows]


async def devices_with(connection: Any) -> set[int]:
    """Those of which there are buckets."""
    if not await is_there(connection):
        return set()
    return {row[0] for row in await connection.fetch("SELECT DISTINCT device_id FROM telemetry.coarse")}
