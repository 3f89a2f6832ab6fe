"""The log on PostgreSQL: one table that the log itself creates and looks after, outside the migrations' schema."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import msgspec
from sqlalchemy.engine import make_url

from roost.core.clock import Clock
from roost.telemetry.log import LogUnavailable, MessageFilter, Row
from roost.telemetry.messages import Message

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary

RESEND_WINDOW_MS = 24 * 3600 * 1000
TIMEOUT_S = 15
CONNECT_TIMEOUT_S = 5
READERS = 4
PRUNE_CHUNK = 20_000
_LOCK_KEY = 0x526F6F73  # any number that every hub agrees on
_RESEND_LOCK_KEY = _LOCK_KEY + 1

_SCHEMA = f"""
SELECT pg_advisory_xact_lock({_LOCK_KEY});
CREATE SCHEMA IF NOT EXISTS telemetry;
CREATE TABLE IF NOT EXISTS telemetry.head (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device_id bigint NOT NULL, observed_at bigint NOT NULL,
    received_at bigint NOT NULL, event_type text, payload bytea NOT NULL, units bytea, message_id text);
CREATE INDEX IF NOT EXISTS head_device ON telemetry.head (device_id, observed_at);
CREATE INDEX IF NOT EXISTS head_message ON telemetry.head (device_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS head_event ON telemetry.head (device_id, id) WHERE event_type IS NOT NULL;
"""
_COLUMNS = "id, device_id, observed_at, received_at, event_type, payload, units, message_id"
_INSERT = """
INSERT INTO telemetry.head (device_id, observed_at, received_at, event_type, payload, units, message_id)
SELECT d, o, r, e, p, u, m FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[],
    $7::text[]) WITH ORDINALITY AS t(d, o, r, e, p, u, m, n) ORDER BY n RETURNING id
"""
_KNOWN = """
SELECT w.device_id, w.message_id FROM unnest($1::bigint[], $2::text[]) AS w(device_id, message_id)
WHERE EXISTS (SELECT FROM telemetry.head h WHERE h.device_id = w.device_id AND h.message_id = w.message_id
    AND h.received_at >= $3)
"""
# The internal error is what the driver says when the server's farewell arrives in the middle of its own first word.
_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncio.TimeoutError,
)
Beside = Callable[[Any], Awaitable[None]]
_encode = msgspec.json.Encoder().encode


class PostgresLog:
    """See `roost.telemetry.log.Log`. A message id is recognised for 24 h, by the table itself."""

    def __init__(self, database_url: str, clock: Clock) -> None:
        self._url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._clock = clock
        self._writer: asyncpg.Connection | None = None
        self._readers: asyncpg.Pool | None = None

    async def open(self) -> None:
        async with self._writing():
            pass
        await self._reading_pool()

    async def close(self) -> None:
        if self._readers is not None:
            await self._readers.close()
        if self._writer is not None:
            await self._writer.close(timeout=CONNECT_TIMEOUT_S)

    async def append(
        self, device_ids: Sequence[int], messages: Sequence[Message], *, beside: Beside | None = None
    ) -> None:
        """`beside(connection)` runs at the end of the same transaction; what it raises takes everything back."""
        async with self._writing() as connection, connection.transaction():
            new = await self._without_resends(connection, device_ids, messages)
            if new:
                columns = list(zip(*(_values(device_id, message) for device_id, message in new), strict=True))
                ids = await connection.fetch(_INSERT, *columns)
            if beside is not None:
                await beside(connection)
        if new:
            for (_, message), record in zip(new, ids, strict=True):
                message.id = record[0]

    async def _without_resends(
        self, connection: Any, device_ids: Sequence[int], messages: Sequence[Message]
    ) -> list[tuple[int, Message]]:
        pairs = list(zip(device_ids, messages, strict=True))
        asked = [(device_id, message.message_id) for device_id, message in pairs if message.message_id is not None]
        if not asked:
            return pairs
        # The original may be in a commit that is not finished: another hub's, or one that a killed hub left behind.
        # It cannot be seen yet, so its end has to be waited for, in a statement before the one that looks.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _RESEND_LOCK_KEY)
        since = self._clock.now_ms() - RESEND_WINDOW_MS
        known = {tuple(row) for row in await connection.fetch(_KNOWN, *map(list, zip(*asked, strict=True)), since)}
        new = []
        for device_id, message in pairs:
            if message.message_id is not None:
                if (device_id, message.message_id) in known:
                    continue
                known.add((device_id, message.message_id))
            new.append((device_id, message))
        return new

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        sql = f"SELECT {_COLUMNS} FROM telemetry.head WHERE device_id = ANY($1)"  # noqa: S608
        values: list[object] = [list(device_ids)]
        for condition, value in wanted.conditions():
            values.append(value)
            sql += f" AND {condition} ${len(values)}"
        if wanted.events_only:
            sql += " AND event_type IS NOT NULL"
        return await self._fetch(f"{sql} ORDER BY id DESC LIMIT {int(limit)}", *values)

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        rows = await self._fetch(
            f"SELECT {_COLUMNS} FROM telemetry.head WHERE device_id = $1 AND observed_at >= $2"  # noqa: S608
            " AND observed_at < $3 ORDER BY observed_at DESC, id DESC LIMIT $4",
            device_id, since, until, limit,
        )  # fmt: skip
        return rows[::-1]

    async def pieces(
        self,
        device_id: int,
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,  # noqa: ARG002 - rows have no summaries
    ) -> "AsyncIterator[Frame | Summary]":
        # Loaded with the first use: numpy costs a hub that nobody asks for history 30 MB and a tenth of a second.
        head_frames = await asyncio.to_thread(importlib.import_module, "roost.telemetry.head_frames")
        async for frame in head_frames.frames(self._earliest, device_id, since, until, keys):
            yield frame

    async def _earliest(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        return await self._fetch(
            f"SELECT {_COLUMNS} FROM telemetry.head WHERE device_id = $1 AND observed_at >= $2"  # noqa: S608
            " AND observed_at < $3 ORDER BY observed_at, id LIMIT $4",
            device_id, since, until, limit,
        )  # fmt: skip

    async def find(self, message_id: int) -> Row | None:
        rows = await self._fetch(f"SELECT {_COLUMNS} FROM telemetry.head WHERE id = $1", message_id)  # noqa: S608
        return rows[0] if rows else None

    async def delete_device(self, device_id: int) -> None:
        await self._delete("device_id = $1", device_id)

    async def prune(self, before: int) -> int:
        return await self._delete("observed_at < $1", before)

    async def size(self) -> tuple[int, int]:
        async with self._reading() as connection:
            row = await connection.fetchrow(
                "SELECT count(*), pg_total_relation_size('telemetry.head') FROM telemetry.head"
            )
        return row[0], row[1]

    async def _delete(self, condition: str, value: int) -> int:
        deleted = 0
        while True:
            async with self._reading() as connection:
                status = await connection.execute(
                    f"DELETE FROM telemetry.head WHERE id IN (SELECT id FROM telemetry.head WHERE {condition}"  # noqa: S608
                    f" LIMIT {PRUNE_CHUNK})",
                    value,
                )
            count = int(status.split()[-1])
            deleted += count
            if count < PRUNE_CHUNK:
                return deleted

    async def _fetch(self, sql: str, *values: object) -> list[Row]:
        async with self._reading() as connection:
            return [Row(*record) for record in await connection.fetch(sql, *values)]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        try:
            pool = await self._reading_pool()
            async with pool.acquire(timeout=TIMEOUT_S) as connection:
                yield connection
        except _AWAY as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error

    async def _reading_pool(self) -> Any:
        if self._readers is None:
            self._readers = await asyncpg.create_pool(
                self._url, min_size=0, max_size=READERS, command_timeout=TIMEOUT_S, timeout=CONNECT_TIMEOUT_S
            )
        return self._readers

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Any]:
        """The one connection that appends. After any failure it is dropped: the next append starts a clean one."""
        try:
            if self._writer is None:
                self._writer = await self._connect_writer()
            yield self._writer
        except _AWAY as error:
            self._drop_writer()
            raise LogUnavailable(str(error) or type(error).__name__) from error
        except BaseException:
            self._drop_writer()
            raise

    async def _connect_writer(self) -> Any:
        connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, command_timeout=TIMEOUT_S)
        async with connection.transaction():
            await connection.execute(_SCHEMA)
        # Whatever the server's default is: an acknowledgement means it is on disk.
        await connection.execute("SET synchronous_commit = on")
        return connection

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None


def _values(device_id: int, message: Message) -> tuple[object, ...]:
    units = _encode(message.units) if message.units else None
    return (
        device_id, message.observed_at, message.received_at, message.event_type, message.payload, units,
        message.message_id,
    )  # fmt: skip
