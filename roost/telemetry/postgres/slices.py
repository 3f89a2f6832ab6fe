"""What becomes of a slice that is no longer written: looked through, emptied row by row, or dropped as a whole."""

# ruff: noqa: S608 - every word of the statements is our own

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres.appending import RESEND_WINDOW_MS
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.head import unsealed
from roost.telemetry.postgres.schema import SEALING_LOCK_KEY, Slice

DELETE_ROWS = 20_000
# A table can only go while nobody reads it, and whoever comes meanwhile waits: so it is tried shortly, but often.
LOCK_TIMEOUT_MS = 300
LOCK_TRIES = 40
LOCK_PAUSE_S = 0.25


async def sealing_lock(connection: Any) -> None:
    """Until the end of the transaction nobody else seals, prunes or deletes."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", SEALING_LOCK_KEY)


async def look_through(connections: Connections, part: Slice) -> int | None:
    """Waits for those who are still writing to a slice that was just closed, and notes which times it holds.

    The last time at which something in it was observed (ms), None if there is nothing.
    """
    async with connections.changing() as connection:
        await connection.execute(f"LOCK TABLE {part.table} IN SHARE MODE")
        last: int | None = await connection.fetchval(
            "UPDATE telemetry.slice SET (first_observed_at, last_observed_at, last_received_at) ="
            f" (SELECT min(observed_at), max(observed_at), max(received_at) FROM {part.table}) WHERE number = $1"
            " RETURNING last_observed_at",
            part.number,
        )
    return last


async def delete_rows(
    connections: Connections, part: Slice, condition: str, value: int, *, even_sealed: bool = False
) -> int:
    """Deletes rows `h` of a slice in short transactions; those that are in blocks go with the slice. Their number."""
    deleted = 0
    if not even_sealed:
        condition = f"{condition} AND {unsealed(part.number)}"
    while True:
        async with connections.changing() as connection:
            status = await connection.execute(
                f"DELETE FROM {part.table} WHERE id IN (SELECT h.id FROM {part.table} h WHERE {condition}"
                f" LIMIT {DELETE_ROWS})",
                value,
            )
        count = int(status.split()[-1])
        deleted += count
        if count < DELETE_ROWS:
            return deleted


async def drop_slice(connections: Connections, part: Slice, now_ms: int, *, only_sealed: bool = False) -> int:
    """Gives the space of a slice back, all at once; the number of messages in it that were not in blocks.

    `only_sealed`: a slice with such messages stays.

    Message ids that are still recognised stay, in a small table of their own that is dropped as a whole later.
    """

    async def drop(connection: Any) -> int:
        await sealing_lock(connection)
        since = now_ms - RESEND_WINDOW_MS
        lost: int = await connection.fetchval(f"SELECT count(*) FROM {part.table} h WHERE {unsealed(part.number)}")
        if lost and only_sealed:
            return lost
        last = await connection.fetchval(
            f"SELECT max(received_at) FROM {part.table} WHERE message_id IS NOT NULL AND received_at >= $1", since
        )
        if last is None:
            await connection.execute("DELETE FROM telemetry.slice WHERE number = $1", part.number)
        else:
            await connection.execute(f"""
                CREATE TABLE {part.known_table} AS SELECT device_id, message_id, received_at FROM {part.table}
                WHERE message_id IS NOT NULL AND received_at >= {since};
                CREATE INDEX ON {part.known_table} (device_id, message_id);
            """)
            await connection.execute(
                "UPDATE telemetry.slice SET sealed_at = $2, known_until = $3 WHERE number = $1",
                part.number, now_ms, last + RESEND_WINDOW_MS,
            )  # fmt: skip
        await connection.execute("DELETE FROM telemetry.sealed WHERE slice = $1", part.number)
        await connection.execute(f"DROP TABLE {part.table}")
        return lost

    return await with_locks(connections, drop)


async def drop_known(connections: Connections, part: Slice) -> None:
    """Forgets the message ids of a slice that is gone."""

    async def drop(connection: Any) -> int:
        await connection.execute(f"DROP TABLE {part.known_table}")
        await connection.execute("DELETE FROM telemetry.slice WHERE number = $1", part.number)
        return 0

    await with_locks(connections, drop)


async def with_locks(connections: Connections, work: Callable[[Any], Awaitable[int]]) -> int:
    """Runs a transaction that needs tables for itself, again and again until it gets them; Moved: somebody else did.

    Raises:
        LogUnavailable: it was in somebody's way for too long; a later run tries again.
    """
    tries = 0
    while True:
        try:
            async with connections.changing() as connection:
                await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                return await work(connection)
        except Moved:
            return 0
        except LogUnavailable as error:
            tries += 1
            if not isinstance(error.__cause__, asyncpg.LockNotAvailableError) or tries >= LOCK_TRIES:
                raise
        await asyncio.sleep(LOCK_PAUSE_S)
