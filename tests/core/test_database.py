"""One way to read, one way to write, and a failed commit is never a success."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg  # type: ignore[import-untyped]
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError, StatementError

from roost.access.models import Organization
from roost.core import problems
from roost.core.database import Database, WriteSession, before_commit, driver_url
from roost.core.errors import NotFound
from roost.core.settings import Settings
from tests.migrated_databases import MigratedDatabases
from tests.postgres_cluster import PostgresCluster

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
async def sqlite_database(tmp_path: Path, migrated: MigratedDatabases) -> AsyncIterator[Database]:
    opened = Database(Settings(data_dir=tmp_path, database_url=migrated.sqlite(tmp_path / "one.db")))
    yield opened
    await opened.dispose()


def organization(name: str) -> Organization:
    return Organization(name=name, created_at=NOON, updated_at=NOON)


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(Organization.name).order_by(Organization.id)))


async def test_committed_on_the_way_out_or_not_at_all(database: Database) -> None:
    async with database.write() as session:
        session.add(organization("kept"))
    with pytest.raises(NotFound):
        await _fail_after_writing(database)
    async with database.read() as session:
        session.add(organization("only read"))
        await session.flush()
    assert await names(database) == ["kept"]


async def _fail_after_writing(database: Database) -> None:
    async with database.write() as session:
        session.add(organization("dropped"))
        await session.flush()
        raise NotFound("Changed my mind.")


async def test_writers_take_turns(database: Database) -> None:
    async with database.write() as session:
        session.add(organization("0"))

    async def increment() -> None:
        async with database.write() as session:
            row = (await session.scalars(select(Organization).with_for_update())).one()
            await asyncio.sleep(0)
            row.name = str(int(row.name) + 1)

    await asyncio.gather(*(increment() for _ in range(20)))
    assert await names(database) == ["20"]


async def test_times_come_back_aware_and_naive_ones_are_refused(database: Database) -> None:
    async with database.write() as session:
        session.add(organization("noon"))
    async with database.read() as session:
        kept = (await session.scalars(select(Organization))).one()
    assert kept.created_at == NOON
    assert kept.created_at.tzinfo is UTC
    with pytest.raises(StatementError, match="zone"):
        await _write_naive(database)


async def _write_naive(database: Database) -> None:
    async with database.write() as session:
        session.add(Organization(name="naive", created_at=NOON.replace(tzinfo=None), updated_at=NOON))


async def test_sqlite_is_durable_and_checks_references(database: Database) -> None:
    if database.dialect != "sqlite":
        return
    async with database.read() as session:
        for pragma, expected in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert await session.scalar(text(f"PRAGMA {pragma}")) == expected


async def test_a_question_is_one_trip_to_the_thread_of_its_connection(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[object] = []
    go = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, work: Any, *rest: Any) -> Any:
        trips.append(work)
        return await go(connection, work, *rest)  # type: ignore[no-untyped-call]

    assert await names(sqlite_database) == []
    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with sqlite_database.read():
        """Nobody asks anything."""
    assert trips == []
    assert await names(sqlite_database) == []
    # The question, and the end of what began with it.
    assert len(trips) == 2


async def test_a_transaction_that_begins_to_write_keeps_other_processes_out(sqlite_database: Database) -> None:
    path = str(sqlite_database.engine.url.database)
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
        async with sqlite_database.write() as session:
            # It only reads so far, but may go on to write.
            await session.scalars(select(Organization.name))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.rollback()


async def test_a_writer_that_is_cancelled_while_it_waits_leaves_nothing_behind(sqlite_database: Database) -> None:
    async def write() -> None:
        async with sqlite_database.write() as session:
            session.add(organization("cancelled"))
            await session.flush()

    path = str(sqlite_database.engine.url.database)
    sent = asyncio.Event()
    event.listen(sqlite_database.engine.sync_engine, "before_cursor_execute", lambda *_: sent.set())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = asyncio.create_task(write())
        await sent.wait()
        writer.cancel()
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await writer
        # Whoever comes next, from here or elsewhere, waits for nobody who has gone.
        await asyncio.to_thread(_lock_once, path)
    async with sqlite_database.write() as session:
        session.add(organization("later"))
    assert await names(sqlite_database) == ["later"]


async def test_after_a_beginning_that_failed_nothing_is_written_outside_of_a_transaction(
    sqlite_database: Database,
) -> None:
    path = str(sqlite_database.engine.url.database)
    event.listen(sqlite_database.engine.sync_engine, "connect", _impatient)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotFound):
            await _go_on_after_a_refusal(sqlite_database, other)
    assert await names(sqlite_database) == []


def _impatient(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=1")
    cursor.close()


async def _go_on_after_a_refusal(database: Database, other: sqlite3.Connection) -> None:
    async with database.write() as session:
        with pytest.raises(OperationalError, match="locked"):
            await session.scalars(select(Organization.name))
        other.execute("ROLLBACK")
        session.add(organization("dropped"))
        await session.flush()
        raise NotFound("Changed my mind.")


async def test_what_is_found_may_be_taken_bit_by_bit(sqlite_database: Database) -> None:
    async with sqlite_database.write() as session:
        session.add_all(organization(str(number)) for number in range(3))
    async with sqlite_database.engine.connect() as connection:
        found = await connection.stream(select(Organization.name).order_by(Organization.id))
        assert [list(part) for part in [await found.fetchmany(2), await found.fetchmany()]] == [
            [("0",), ("1",)],
            [("2",)],
        ]


def _lock_once(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


async def test_a_failed_commit_is_an_error_answer(database: Database) -> None:
    app = FastAPI()
    app.state.database = database
    problems.install(app)

    @app.post("/things", status_code=201)
    async def create_thing(session: WriteSession) -> dict[str, str]:
        session.add(organization("never"))

        async def fail(_session: object) -> None:
            raise OSError("The disk is full.")

        before_commit(session, fail, rank=0)
        return {"status": "stored"}

    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://hub") as client:
        answer = await client.post("/things")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Retry-After" in answer.headers
    assert await names(database) == []


async def test_a_farewell_in_the_middle_of_a_word_is_an_outage(
    postgres: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(Settings(database_url=postgres.create_database(), _env_file=None))

    async def interrupted(*_: object, **__: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")

    with monkeypatch.context() as patched:
        # It takes a server that ends within one particular microsecond.
        patched.setattr(asyncpg.Connection, "prepare", interrupted)
        with pytest.raises(ConnectionError, match="state 15"):
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
    async with database.read() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    await database.dispose()


async def test_no_statement_goes_on_for_ever_on_postgresql(postgres: PostgresCluster) -> None:
    database = Database(Settings(database_url=postgres.create_database(), _env_file=None))
    async with database.read() as session:
        assert await session.scalar(text("SHOW statement_timeout")) == "1min"
    await database.dispose()


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(postgres: PostgresCluster) -> None:
    # SQLite has one writer at a time, so nobody can wait for another there.
    database = Database(Settings(database_url=postgres.create_database(), _env_file=None))
    async with database.write() as session:
        await session.execute(text("CREATE TABLE doors AS SELECT 1 AS number UNION SELECT 2"))
    app, both_wait = FastAPI(), asyncio.Barrier(2)
    app.state.database = database
    problems.install(app)

    @app.post("/doors/{first}/{second}")
    async def open_doors(session: WriteSession, first: int, second: int) -> None:
        await session.execute(text("SELECT 1 FROM doors WHERE number = :n FOR UPDATE"), {"n": first})
        await both_wait.wait()
        await session.execute(text("SELECT 1 FROM doors WHERE number = :n FOR UPDATE"), {"n": second})

    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://hub") as client:
        answers = await asyncio.gather(client.post("/doors/1/2"), client.post("/doors/2/1"))
    await database.dispose()
    assert sorted(answer.status_code for answer in answers) == [200, 503]
    assert [answer.json()["code"] for answer in answers if answer.status_code == 503] == ["database_busy"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///a/b.db", "sqlite+aiosqlite:///a/b.db"),
        ("postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        ("postgresql+psycopg2://u:p@h:5433/n?sslmode=require", "postgresql+asyncpg://u:p@h:5433/n?ssl=require"),
    ],
)
def test_every_spelling_of_a_url_finds_its_driver(given: str, expected: str) -> None:
    assert driver_url(given).render_as_string(hide_password=False) == expected
