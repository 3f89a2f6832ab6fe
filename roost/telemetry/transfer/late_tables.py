"""What is late (see `late`) on PostgreSQL."""

from typing import Any

from roost.telemetry.postgres import blocks as tables
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.schema import Slice, list_slices
from roost.telemetry.transfer.late import DAY_MS, Late, note


async def late_in_tables(connections: Connections, after_id: int, before_ms: int) -> Late:
    """What arrived after this id and was observed before this moment. Raises LogUnavailable."""
    async with connections.changing() as connection:
        parts = [part for part in await list_slices(connection) if part.known_until is None]
        newest = parts[-1]
        last_id = await connection.fetchval(f"SELECT max(id) FROM {newest.table}")  # noqa: S608 - own words
    found = Late(newest.first_id - 1 if last_id is None else last_id, {})
    for part in parts:
        try:
            for device_id, day in await _days(connections, part, after_id, before_ms):
                note(found, device_id, [day * DAY_MS])
        except Moved:
            continue  # it is in the blocks by now
    async with connections.snapshot() as connection:
        for month in await tables.list_months(connection):
            start, end = tables.month_start(month.number), tables.month_start(month.number + 1)
            if month.last_id > after_id and start < before_ms:
                for table in tables.TABLES:
                    rows = await connection.fetch(
                        f"SELECT DISTINCT device_id FROM telemetry.{table}"  # noqa: S608 - own words
                        " WHERE last_id > $1 AND start_at >= $2 AND start_at < $3",
                        after_id, start, end,
                    )  # fmt: skip
                    for (device_id,) in rows:
                        note(found, device_id, [start])
    return found


async def _days(connections: Connections, part: Slice, after_id: int, before_ms: int) -> Any:
    async with connections.changing() as connection:
        return await connection.fetch(
            f"SELECT DISTINCT device_id, observed_at / {DAY_MS} FROM {part.table}"  # noqa: S608 - own words
            " WHERE id > $1 AND observed_at < $2",
            after_id, before_ms,
        )  # fmt: skip
