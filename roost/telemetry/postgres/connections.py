"""The few connections that the log keeps to PostgreSQL, directly or through a pooler in transaction mode.

Whatever is asked is asked within a transaction, and what is set is set for that transaction only: behind such a pooler
every transaction may be on another server connection. For the same reason no statement is kept prepared and no lock
belongs to a session.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from roost.core.clock import Clock
from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres.schema import prepare

TIMEOUT_S = 15
CONNECT_TIMEOUT_S = 5
READERS = 4
# The server gives up a little after the hub did: a connection that was lost must not keep it busy.
GRACE_S = 5

# Whatever the server's default is: an acknowledgement means it is on disk.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on"
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# The internal error is what the driver says when the server's farewell arrives in the middle of its own first word.
_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncio.TimeoutError,
)


class Moved(LogUnavailable):
    """A slice went into blocks, was closed or was pruned in between; asked again, everything is in its place."""


class Connections:
    """One connection that appends, and up to `READERS` for everything else, opened when they are needed."""

    def __init__(self, database_url: str, clock: Clock, *, timeout_s: int = TIMEOUT_S) -> None:
        """`timeout_s`: what a statement may take."""
        self._url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._clock = clock
        self._timeout_s = timeout_s
        self._writer: Any = None
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._prepared = False

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        if self._writer is not None:
            await self._writer.close(timeout=CONNECT_TIMEOUT_S)

    @asynccontextmanager
    async def appending(self) -> AsyncIterator[Any]:
        """A transaction on the connection that appends. After any failure the next one starts on a clean connection."""
        try:
            if self._writer is None:
                self._writer = await self._connect()
            async with self._transaction(self._writer, _BEGIN):
                yield self._writer
        except BaseException as error:  # noqa: BLE001 - what is not ours goes on as it is
            if self._writer is not None:
                self._writer.terminate()
                self._writer = None
            _raise_translated(error)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Any]:
        """A transaction of which every statement sees what others have committed before it."""
        async with self._pooled(_BEGIN) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """A transaction in which everything read is of one moment: that of the first statement."""
        async with self._pooled(_BEGIN_SNAPSHOT) as connection:
            yield connection

    @asynccontextmanager
    async def _pooled(self, begin: str) -> AsyncIterator[Any]:
        try:
            pool = await self._open_pool()
            async with pool.acquire(timeout=TIMEOUT_S) as connection:
                try:
                    await self._prepare(connection)
                    async with self._transaction(connection, begin):
                        yield connection
                except BaseException:
                    with suppress(*_AWAY):
                        await connection.execute("ROLLBACK")
                    raise
        except Exception as error:  # noqa: BLE001 - what is not ours goes on as it is
            _raise_translated(error)

    async def _open_pool(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=READERS,
                    command_timeout=self._timeout_s,
                    timeout=CONNECT_TIMEOUT_S,
                    statement_cache_size=0,
                    reset=_nothing,
                )
        return self._pool

    async def _connect(self) -> Any:
        connection = await asyncpg.connect(
            self._url, timeout=CONNECT_TIMEOUT_S, command_timeout=self._timeout_s, statement_cache_size=0
        )
        self._prepared = False  # it may be another database by now: restored, or made anew
        try:
            await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    @asynccontextmanager
    async def _transaction(self, connection: Any, begin: str) -> AsyncIterator[None]:
        await connection.execute(f"{begin}; SET LOCAL statement_timeout = '{self._timeout_s + GRACE_S}s'")
        yield
        if await connection.execute("COMMIT") != "COMMIT":
            raise asyncpg.InterfaceError("the transaction was taken back")

    async def _prepare(self, connection: Any) -> None:
        if not self._prepared:
            async with self._transaction(connection, _BEGIN):
                await prepare(connection, self._clock.now_ms())
            self._prepared = True


async def _nothing(_connection: Any) -> None:
    """In place of the driver's own way of cleaning up, which changes the session."""


def _raise_translated(error: BaseException) -> NoReturn:
    if isinstance(error, asyncpg.UndefinedTableError):
        raise Moved(str(error)) from error
    if isinstance(error, _AWAY):
        raise LogUnavailable(str(error) or type(error).__name__) from error
    raise error
