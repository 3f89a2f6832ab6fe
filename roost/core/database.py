"""The state database: SQLite or PostgreSQL through SQLAlchemy, with one way to read and one way to write.

SQLite has one writer at a time. Writers of this process queue on a lock of their own, so that they wait in order
instead of polling, and take SQLite's write lock when they begin, so that none fails halfway because it read before it
wrote.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

from fastapi import Depends
from sqlalchemy import BigInteger, DateTime, Dialect, Executable, Integer, MetaData, Row, event
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator
from starlette.requests import HTTPConnection

from roost.core import pooler
from roost.core.errors import Unavailable
from roost.core.settings import Settings
from roost.core.sqlite import sqlite_driver

_log = logging.getLogger(__name__)

AWAY = (DBAPIError, PoolTimeout, OSError, TimeoutError)
"""What a database raises that cannot be reached, takes too long, or has no connection left to give."""

DialectName = Literal["sqlite", "postgresql"]
Hook = Callable[[AsyncSession], Awaitable[None]]

_WRITE = "roost_write"
_BEFORE_COMMIT = "roost_before_commit"
_BUSY_TIMEOUT_S = 10
_POSTGRES_CONNECT_TIMEOUT_S = 5
_POSTGRES_STATEMENT_TIMEOUT = "60s"
_IDLE_SINCE = "roost_idle_since"
_ASK_AFTER_IDLE_S = 30
_ANSWER_PATIENCE_S = 5


class Base(DeclarativeBase):
    """The base of every table; constraints get predictable names so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


BigId = BigInteger().with_variant(Integer(), "sqlite")
"""Column type of ids: 64 bit on both databases (SQLite numbers rows by itself only in an INTEGER column)."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; naive ones are refused, on the way in, with ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def driver_url(database_url: str) -> URL:
    """The documents' spellings (`sqlite:///`, `postgresql+psycopg2://` …) as a URL for the asynchronous drivers."""
    url = make_url(database_url.replace("postgres://", "postgresql://", 1))
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    url = url.set(drivername="postgresql+asyncpg")
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    query.pop("client_encoding", None)
    return url.set(query=query)


def sqlite_path(database_url: str) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL and for a database in memory."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


class Database:
    """Opens the engine lazily: making one touches neither disk nor network."""

    def __init__(self, settings: Settings) -> None:
        url = driver_url(settings.database_url)
        self.dialect: DialectName = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
        self.engine: AsyncEngine = _sqlite_engine(url) if self.dialect == "sqlite" else _postgres_engine(url, settings)
        # Copied into the `info` of every session: what rooms want to find there.
        self.session_info: dict[str, Any] = {}
        options: dict[str, Any] = {"expire_on_commit": False, "info": self.session_info}
        self._readers = async_sessionmaker(self.engine, **options)
        self._writers = async_sessionmaker(self.engine.execution_options(**{_WRITE: True}), **options)
        # One statement needs no transaction around it; SQLite's costs nothing, and a pooler wants one.
        alone = self.dialect == "postgresql" and not settings.database_pooler
        self._askers = self.engine.execution_options(isolation_level="AUTOCOMMIT") if alone else self.engine
        self._write_turn = asyncio.Lock()
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Call back after every commit that had something to do before it; returns what ends that."""
        self._after_commit.append(callback)
        return lambda: self._after_commit.remove(callback)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one consistent state; whatever it changes is dropped."""
        async with self._readers() as session:
            yield session

    async def rows(self, statement: Executable, parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """What one statement finds. It costs half of what a session does for it: for what every request asks."""
        async with self._askers.connect() as connection:
            return (await connection.execute(statement, parameters)).all()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed on the way out, or all dropped when the block raises.

        Raises Unavailable when other writers keep the database busy for too long. Do not open one inside another.
        """
        if self.dialect == "postgresql":
            async with self._writing() as session:
                yield session
            return
        try:
            async with asyncio.timeout(_BUSY_TIMEOUT_S):
                await self._write_turn.acquire()
        except TimeoutError:
            raise Unavailable("The database is busy; try again in a moment.", code="database_busy") from None
        try:
            async with self._writing() as session:
                yield session
        finally:
            self._write_turn.release()

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        relay = False
        async with self._writers() as session, session.begin():
            yield session
            hooks: list[tuple[int, Hook]] = session.info.pop(_BEFORE_COMMIT, [])
            for _, hook in sorted(hooks, key=lambda entry: entry[0]):
                await hook(session)
                relay = True
        if relay:
            for callback in tuple(self._after_commit):
                await callback()

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def before_commit(session: AsyncSession, hook: Hook, *, rank: int) -> None:
    """Run `hook(session)` as the last thing before a write session commits, after those of lower rank.

    Hooks take locks that last until the commit; the ranks see to it that everybody takes them in the same order.
    """
    session.info.setdefault(_BEFORE_COMMIT, []).append((rank, hook))


def _sqlite_engine(url: URL) -> AsyncEngine:
    # Every connection is a thread; four are plenty when writers queue and reads take well under a millisecond.
    engine = create_async_engine(
        url,
        module=sqlite_driver(),
        pool_size=4,
        max_overflow=4,
        pool_timeout=_BUSY_TIMEOUT_S,
        connect_args={"timeout": _BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver must not begin transactions on its own: it would do so too late, and never IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-1024"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(_WRITE, False)
        driver: Any = connection.connection.dbapi_connection
        driver.begin_with_next("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgres_engine(url: URL, settings: Settings) -> AsyncEngine:
    session = {"application_name": "roost"}
    connect_args: dict[str, Any] = {"timeout": _POSTGRES_CONNECT_TIMEOUT_S, "server_settings": session}
    if settings.database_pooler:
        connect_args |= pooler.CONNECT_ARGS
    else:
        # A pooler would not pass it on; there it belongs to the role.
        session["statement_timeout"] = _POSTGRES_STATEMENT_TIMEOUT
    engine = create_async_engine(
        url,
        pool_size=4,
        max_overflow=6,
        pool_timeout=_BUSY_TIMEOUT_S,
        connect_args=connect_args,
    )
    if settings.database_pooler:
        pooler.begin_with_a_transaction(engine)
    _notice_lost_connections(engine)

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Dialect, _record: object, arguments: Any, options: Any) -> Any:
        # A server that starts, stops or is full refuses with errors of the driver that SQLAlchemy does not translate.
        try:
            return dialect.connect(*arguments, **options)
        except Exception as error:
            if type(error).__module__.startswith("asyncpg"):
                raise ConnectionError(str(error)) from error
            raise

    @event.listens_for(engine.sync_engine, "handle_error")
    def lost(context: ExceptionContext) -> BaseException | None:
        # Likewise when the server's farewell arrives in the middle of the driver's own first word.
        error = context.original_exception
        if type(error).__name__ != "InternalClientError":
            return None
        context.is_disconnect = True
        return ConnectionError(str(error))

    return engine


def _notice_lost_connections(engine: AsyncEngine) -> None:
    """Replace connections that ended while nobody used them, so that no request fails for it.

    A server that ends or is killed closes its sockets, which is seen without a word. Only what has been idle for a
    while is asked, as a network may have forgotten it and swallow every word: the driver would wait for minutes.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def left_idle(_connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def still_there(connection: Any, record: Any, _proxy: object) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if monotonic() - record.info.get(_IDLE_SINCE, monotonic()) < _ASK_AFTER_IDLE_S:
            return
        try:
            connection.run_async(lambda driver: driver.execute(";", timeout=_ANSWER_PATIENCE_S))
        except Exception as error:
            raise InvalidatePoolError from error


async def _read_session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    database: Database = connection.app.state.database
    async with database.read() as session:
        yield session


async def _write_session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    database: Database = connection.app.state.database
    async with database.write() as session:
        yield session


ReadSession = Annotated[AsyncSession, Depends(_read_session, scope="function")]
"""A reading session for one endpoint."""

WriteSession = Annotated[AsyncSession, Depends(_write_session, scope="function")]
"""A writing session for one endpoint, committed before the answer leaves: a failed commit is an error answer."""
