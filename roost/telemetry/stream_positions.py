"""How far each part of the stream is stored, and which writer stores it: in PostgreSQL, beside what is stored.

The position moves in the transaction that stores the messages, and only from where the writer believes it to be. So
each message is stored once, whatever happens to writers, NATS or the database in between; that only one writer works
on a part (its lease) merely saves work.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from roost.core.nats import PARTITIONS
from roost.telemetry.log import LogUnavailable

LEASE_S = 6
_CONNECT_TIMEOUT_S = 5
_TIMEOUT_S = 15
_LOCK_KEY = 0x526F7374  # any number that no other lock uses

_SCHEMA = f"""
SELECT pg_advisory_xact_lock({_LOCK_KEY});
CREATE SCHEMA IF NOT EXISTS telemetry;
CREATE TABLE IF NOT EXISTS telemetry.stream_position (
    partition int PRIMARY KEY, sequence bigint NOT NULL, stored_ns bigint NOT NULL, batch_id text NOT NULL,
    owner text, leased_until timestamptz);
CREATE TABLE IF NOT EXISTS telemetry.stream_writer (name text PRIMARY KEY, seen_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS telemetry.dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, died_at timestamptz NOT NULL DEFAULT now(),
    partition int NOT NULL, sequence bigint NOT NULL, device_id bigint, reason text NOT NULL, body bytea NOT NULL);
"""
_NEW = f"""
INSERT INTO telemetry.stream_position SELECT n, 0, 0, '', NULL, NULL FROM generate_series(0, {PARTITIONS - 1}) AS n
ON CONFLICT DO NOTHING
"""  # noqa: S608
_SEEN = """
INSERT INTO telemetry.stream_writer VALUES ($1, now()) ON CONFLICT (name) DO UPDATE SET seen_at = now()
"""
_ALIVE = "SELECT count(*) FROM telemetry.stream_writer WHERE seen_at > now() - make_interval(secs => $1)"
_FORGET = "DELETE FROM telemetry.stream_writer WHERE name = $1 OR seen_at < now() - interval '1 hour'"
# Locked in the order in which storing locks them, or each would wait for a row of the other.
_RENEW = """
UPDATE telemetry.stream_position SET leased_until = now() + make_interval(secs => $2)
WHERE partition IN (SELECT partition FROM telemetry.stream_position WHERE owner = $1 ORDER BY partition FOR UPDATE)
RETURNING partition
"""
_CLAIM = """
UPDATE telemetry.stream_position SET owner = $1, leased_until = now() + make_interval(secs => $2)
WHERE partition IN (SELECT partition FROM telemetry.stream_position WHERE owner IS NULL OR leased_until < now()
    ORDER BY partition LIMIT $3 FOR UPDATE SKIP LOCKED)
"""
_RELEASE = """
UPDATE telemetry.stream_position SET owner = NULL
WHERE partition IN (SELECT partition FROM telemetry.stream_position WHERE owner = $1 AND partition = ANY($2::int[])
    ORDER BY partition FOR UPDATE)
"""
_OWNED = "SELECT partition, sequence, stored_ns, batch_id FROM telemetry.stream_position WHERE owner = $1"
_ADVANCE = """
UPDATE telemetry.stream_position SET sequence = $3, stored_ns = $4, batch_id = $5
WHERE partition = $1 AND sequence = $2 AND owner = $6
"""
_BURY = """
INSERT INTO telemetry.dead_letter (partition, sequence, device_id, reason, body) VALUES ($1, $2, $3, $4, $5)
"""


class Position(NamedTuple):
    """The last message of a part that was stored: its number, its time in NATS (ns since 1970), its batch."""

    sequence: int
    stored_ns: int
    batch_id: str


class DeadLetter(NamedTuple):
    """What cannot be stored, and why; `device_id` None for a whole batch."""

    partition: int
    sequence: int
    device_id: int | None
    reason: str
    body: bytes


class Overtaken(Exception):  # noqa: N818 - it reads as what it says
    """The position is no longer where the writer believed; nothing of the transaction happened."""


class Positions:
    """Those of one writer. Raises LogUnavailable while the database is away."""

    def __init__(self, database_url: str, writer: str) -> None:
        self._url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._writer = writer
        self._connection: Any = None

    async def share(self) -> dict[int, Position]:
        """Stay alive, take or give what is a fair share, and say which parts are ours and how far they are."""
        async with self._transaction() as connection:
            await connection.execute(_SEEN, self._writer)
            writers = await connection.fetchval(_ALIVE, LEASE_S)
            ours = sorted(row[0] for row in await connection.fetch(_RENEW, self._writer, LEASE_S))
            fair = -(-PARTITIONS // max(1, writers))
            if len(ours) > fair:
                await connection.execute(_RELEASE, self._writer, ours[fair:])
            elif len(ours) < fair:
                await connection.execute(_CLAIM, self._writer, LEASE_S, fair - len(ours))
            rows = await connection.fetch(_OWNED, self._writer)
        return {row[0]: Position(*row[1:]) for row in rows}

    async def release(self, partitions: Sequence[int]) -> None:
        """Leave these parts to others."""
        async with self._transaction() as connection:
            await connection.execute(_RELEASE, self._writer, list(partitions))

    async def leave(self) -> None:
        """Leave everything to others and close."""
        try:
            async with self._transaction() as connection:
                await connection.execute(_RELEASE, self._writer, list(range(PARTITIONS)))
                await connection.execute(_FORGET, self._writer)
        finally:
            await self.close()

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close(timeout=_CONNECT_TIMEOUT_S)

    async def advance(self, connection: Any, steps: dict[int, tuple[Position, Position]]) -> None:
        """Within a transaction that stores them: from the first position to the second. Raises Overtaken."""
        for partition, (before, after) in sorted(steps.items()):
            status = await connection.execute(_ADVANCE, partition, before.sequence, *after, self._writer)
            if status != "UPDATE 1":
                raise Overtaken(f"part {partition} is no longer at {before.sequence}")

    async def bury(self, connection: Any, letters: Sequence[DeadLetter]) -> None:
        """Within such a transaction: keep what cannot be stored where somebody can look at it."""
        await connection.executemany(_BURY, letters)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        try:
            if self._connection is None:
                self._connection = await self._connect()
            async with self._connection.transaction():
                yield self._connection
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            raise LogUnavailable(str(error) or type(error).__name__) from error

    async def _connect(self) -> Any:
        # Without prepared statements, which a pooler between us and the database may not carry.
        connection = await asyncpg.connect(
            self._url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_TIMEOUT_S, statement_cache_size=0
        )
        async with connection.transaction():
            await connection.execute(_SCHEMA)
            await connection.execute(_NEW)
        return connection
