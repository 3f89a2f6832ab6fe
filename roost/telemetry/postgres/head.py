"""Rows of the slices that are not in blocks yet, read within a snapshot of the caller.

A slice whose table is gone although the snapshot knows it raises UndefinedTableError: the reader asks again.
"""

# ruff: noqa: S608 - every word of the statements is our own

import heapq
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from roost.telemetry.log import MessageFilter, Row
from roost.telemetry.postgres.schema import COLUMNS

_ARRAYS = ", ".join(f"array_agg(h.{column}) AS {column}" for column in COLUMNS.split(", "))
_SELECT = ", ".join(f"h.{column}" for column in COLUMNS.split(", "))
# Slices of which something may be missing in the blocks, newest first; what a closed one holds may be in both.
_SLICES = """
SELECT number FROM telemetry.slice
WHERE sealed_at IS NULL AND (last_observed_at IS NULL OR last_observed_at >= $1 AND first_observed_at < $2)
ORDER BY number DESC
"""
_SLICES_OF_DEVICE = """
SELECT number FROM telemetry.slice s
WHERE sealed_at IS NULL AND (last_observed_at IS NULL OR last_observed_at >= $1 AND first_observed_at < $2)
    AND NOT EXISTS (SELECT FROM telemetry.sealed m WHERE m.slice = s.number AND m.device_id = $3)
ORDER BY number DESC
"""
# Those in which any of the devices has its messages still.
_SLICES_OF_DEVICES = """
SELECT number FROM telemetry.slice s
WHERE sealed_at IS NULL AND (last_observed_at IS NULL OR last_observed_at >= $1 AND first_observed_at < $2)
    AND (SELECT count(*) FROM telemetry.sealed m WHERE m.slice = s.number AND m.device_id = ANY($3)) < cardinality($3)
ORDER BY number DESC
"""
_FOREVER = 2**63 - 1


def unsealed(number: int) -> str:
    """The condition that a row `h` of a slice is not in the blocks."""
    return f"NOT EXISTS (SELECT FROM telemetry.sealed m WHERE m.slice = {int(number)} AND m.device_id = h.device_id)"


async def recent(connection: Any, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
    """The last messages of these devices, newest arrival first."""
    values: list[object] = [list(device_ids)]
    conditions = ["h.device_id = ANY($1)"]
    for condition, value in wanted.conditions():
        values.append(value)
        conditions.append(f"h.{condition} ${len(values)}")
    if wanted.events_only:
        conditions.append("h.event_type IS NOT NULL")
    span = (wanted.since or 0, _FOREVER if wanted.until is None else wanted.until)
    found: list[Row] = []
    for (number,) in await connection.fetch(_SLICES, *span):
        where = " AND ".join([*conditions, unsealed(number)])
        rows = await connection.fetch(
            f"SELECT {_SELECT} FROM telemetry.head_{number} h WHERE {where}"
            f" ORDER BY h.id DESC LIMIT {limit - len(found)}",
            *values,
        )
        found += [Row(*row) for row in rows]
        if len(found) >= limit:
            break
    return found


async def latest(connection: Any, device_id: int, since: int, until: int, limit: int) -> list[Row]:
    """Messages of the time span by time and arrival, at most `limit` of the newest."""
    numbers = [row[0] for row in await connection.fetch(_SLICES_OF_DEVICE, since, until, device_id)]
    if not numbers:
        return []
    parts = [
        f"(SELECT {_SELECT} FROM telemetry.head_{number} h WHERE h.device_id = $1 AND h.observed_at >= $2"
        " AND h.observed_at < $3 ORDER BY h.observed_at DESC, h.id DESC LIMIT $4)"
        for number in numbers
    ]
    rows = await connection.fetch(" UNION ALL ".join(parts), device_id, since, until, limit)
    return heapq.nlargest(limit, [Row(*row) for row in rows], key=_place)[::-1]


async def earliest(connection: Any, asked: Sequence[tuple[int, int]], until: int, limit: int) -> dict[int, list[Row]]:
    """Of each device the oldest messages from a moment (ms), asked for beside it, to before `until`.

    By device, time and arrival, `limit` of a device if there are so many; devices without any are left out.
    """
    # Nothing is known of what a slice holds, so that the planner takes it for little, and would sort all that there is
    # of a device to give its oldest. The order of arrival within a moment is seen to here for the same reason.
    await connection.execute("SET LOCAL enable_bitmapscan = off")
    found: dict[int, list[Row]] = {}
    device_ids, sinces = [device_id for device_id, _ in asked], [since for _, since in asked]
    slices = await connection.fetch(_SLICES_OF_DEVICES, min(sinces), until, device_ids)
    if not slices:
        return found
    # A record for each device, of arrays: half of what a record for each row costs the driver.
    parts = [
        f"SELECT d.id, a.* FROM unnest($1::bigint[], $2::bigint[]) AS d(id, since), LATERAL (SELECT {_ARRAYS} FROM ("
        f"SELECT h.* FROM telemetry.head_{number} h WHERE h.device_id = d.id AND {unsealed(number)}"
        " AND h.observed_at >= d.since AND h.observed_at < $3 ORDER BY h.observed_at LIMIT $4) AS h) AS a"
        " WHERE a.id IS NOT NULL"
        for (number,) in slices
    ]
    for device_id, *columns in await connection.fetch(" UNION ALL ".join(parts), device_ids, sinces, until, limit):
        found.setdefault(device_id, []).extend(map(Row, *columns))
    for device_id, of_device in found.items():
        of_device.sort(key=_place)
        found[device_id] = of_device[:limit]
    return found


async def find(connection: Any, message_id: int) -> Row | None:
    for (number,) in await connection.fetch(_SLICES, 0, _FOREVER):
        row = await connection.fetchrow(
            f"SELECT {_SELECT} FROM telemetry.head_{number} h WHERE h.id = $1 AND {unsealed(number)}", message_id
        )
        if row is not None:
            return Row(*row)
    return None


async def counts(connection: Any) -> list[tuple[int, int]]:
    """How many messages that are not in blocks each slice has, by its number."""
    return [
        (
            number,
            await connection.fetchval(f"SELECT count(*) FROM telemetry.head_{number} h WHERE {unsealed(number)}"),
        )
        for (number,) in await connection.fetch(_SLICES, 0, _FOREVER)
    ]


_place = attrgetter("observed_at", "id")
