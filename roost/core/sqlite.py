"""SQLite's driver with one trip to the connection's thread for each statement.

The driver of SQLAlchemy goes there and back four times for a statement (cursor, execute, fetch, close) and three times
for a BEGIN; a request that asks two short questions spent more on trips than on the questions. Here a statement is one
trip, BEGIN goes with the first statement, and a transaction in which nothing was asked makes none.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy.dialects.sqlite import aiosqlite as dialect
from sqlalchemy.util import EMPTY_DICT
from sqlalchemy.util.concurrency import await_

T = TypeVar("T")


class _Cursor(dialect.AsyncAdapt_aiosqlite_cursor):
    """A cursor that lives only while its statement runs; what it found is kept here."""

    __slots__ = ("_facts",)
    arraysize = 1

    def __init__(self, adapt_connection: Any) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._soft_closed_memoized = EMPTY_DICT
        self._rows = deque()
        self._facts: tuple[Any, int, int] = (None, -1, 0)

    @property
    def description(self) -> Any:
        return self._facts[0]

    @property
    def rowcount(self) -> int:
        return self._facts[1]

    @property
    def lastrowid(self) -> int:
        return self._facts[2]

    async def _async_soft_close(self) -> None:
        """It is closed already."""

    def close(self) -> None:
        self._rows.clear()

    async def _execute_async(self, operation: str, parameters: Any) -> None:
        connection: Any = self._adapt_connection
        async with connection._execute_mutex:
            rows, self._facts = await connection.run(_execute, operation, parameters or ())
            self._rows = deque(rows)

    async def _executemany_async(self, operation: str, seq_of_parameters: Sequence[Any]) -> None:
        connection: Any = self._adapt_connection
        async with connection._execute_mutex:
            self._facts = await connection.run(_execute_many, operation, seq_of_parameters)


class _Connection(dialect.AsyncAdapt_aiosqlite_connection):
    __slots__ = ("_begin", "_begun")
    # What was found is kept whole, even for whoever wants it bit by bit.
    _cursor_cls = _Cursor
    _ss_cursor_cls: Any = _Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._begin: str | None = None
        self._begun = False

    def begin_with_next(self, statement: str) -> None:
        """Run this BEGIN right before the next statement."""
        self._begin = statement

    async def run(self, work: Callable[[str | None, str, Any, sqlite3.Connection], T], sql: str, values: Any) -> T:
        """What `work` returns, done by the connection's own thread, with the BEGIN that is due."""
        inner = self._connection
        begin, self._begin = self._begin, None
        self._begun = self._begun or begin is not None
        try:
            result: T = await inner._execute(partial(work, begin, sql, values), inner._conn)
        except sqlite3.Error:
            if begin is not None and not inner.in_transaction:
                # Whoever goes on after a BEGIN that failed does not do so outside of any transaction.
                self._begin = begin
            raise
        return result

    def rollback(self) -> None:
        self._end(super().rollback)

    def commit(self) -> None:
        self._end(super().commit)

    def _end(self, end: Callable[[], None]) -> None:
        # What was sent counts, not what SQLite says: the thread may not have come to it yet.
        self._begin = None
        if self._begun:
            end()
            self._begun = False


class _Driver(dialect.AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arguments: Any, **options: Any) -> _Connection:
        connection = aiosqlite.connect(*arguments, **options)
        connection._thread.daemon = True
        return _Connection(self, await_(connection))


def sqlite_driver() -> Any:
    """The `module` of an engine."""
    return _Driver(aiosqlite, sqlite3)


def _execute(
    begin: str | None, operation: str, parameters: Any, connection: sqlite3.Connection
) -> tuple[list[Any], tuple[Any, int, int]]:
    if begin is not None:
        connection.execute(begin).close()
    cursor = connection.execute(operation, parameters)
    try:
        rows = cursor.fetchall() if cursor.description else []
        return rows, _facts_of(cursor)
    finally:
        cursor.close()


def _execute_many(
    begin: str | None, operation: str, parameters: Sequence[Any], connection: sqlite3.Connection
) -> tuple[Any, int, int]:
    if begin is not None:
        connection.execute(begin).close()
    cursor = connection.executemany(operation, parameters)
    try:
        return _facts_of(cursor)
    finally:
        cursor.close()


def _facts_of(cursor: sqlite3.Cursor) -> tuple[Any, int, int]:
    return cursor.description, cursor.rowcount, cursor.lastrowid or 0
