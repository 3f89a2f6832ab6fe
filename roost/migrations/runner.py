"""Migrations at start and from the command line: one process at a time, all or nothing, on both databases.

Alembic is imported only when there is something to do: it costs a start 100 ms and 10 MB.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from roost.core import pooler
from roost.core.database import driver_url
from roost.core.settings import Settings
from roost.core.sqlite import sqlite_driver

T = TypeVar("T")

_FOLDER = Path(__file__).parent
_REVISION = re.compile(r"^revision\b[^=]*= ['\"](\w+)['\"]", re.MULTILINE)
_BEFORE = re.compile(r"^down_revision\b[^=]*= ['\"](\w+)['\"]", re.MULTILINE)
# An arbitrary number that no other lock of the application uses.
_MIGRATION_LOCK = 7_303_013
_LOCK_TIMEOUT_S = 60


class SchemaTooNew(Exception):  # noqa: N818 - a state, not an error
    """The database was migrated by a newer version of Roost than this one."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where the database stands; `current` is None before the first migration."""

    current: str | None
    newest: str

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to migrate."""
        return self.current == self.newest


async def migrate_at_start(settings: Settings) -> bool:
    """Bring the schema to the newest revision; whether there was anything to do. Raises SchemaTooNew."""
    status = await read_status(settings)
    if status.is_current:
        return False
    refuse_unknown(status)
    await upgrade(settings)
    return True


def refuse_unknown(status: SchemaStatus) -> None:
    """Raise SchemaTooNew when the database is at a revision that this version does not have."""
    if status.current is not None and status.current not in _revisions():
        raise SchemaTooNew(
            f"the database is at revision {status.current}, which this version of Roost does not know; "
            "start the newer version, or migrate down with it first."
        )


async def read_status(settings: Settings) -> SchemaStatus:
    """The database's revision and the newest one."""
    engine = _engine(settings, for_writing=False)
    try:
        async with engine.connect() as connection:
            current = await connection.run_sync(_current_revision)
    finally:
        await engine.dispose()
    return SchemaStatus(current, newest_revision())


async def upgrade(settings: Settings, revision: str = "head") -> None:
    """Migrate up to `revision`."""
    await _alembic(settings, "upgrade", revision)


async def downgrade(settings: Settings, revision: str) -> None:
    """Migrate down to `revision` (`-1` for one step, `base` for an empty database)."""
    await _alembic(settings, "downgrade", revision)


async def write_revision(settings: Settings, message: str) -> None:
    """Write a new migration from what changed in the models since the newest one."""
    command = importlib.import_module("alembic.command")
    await on_connection(settings, lambda connection: command.revision(_config(connection), message, autogenerate=True))


async def on_connection(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Do `work` in one transaction while no other process migrates the same database."""
    engine = _engine(settings, for_writing=True)
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                # Rather give up than stand in everyone's way while a long query holds a table.
                await connection.execute(text("SET LOCAL lock_timeout = '30s'"))
            outcome = await connection.run_sync(work)
            if engine.dialect.name == "sqlite":
                await connection.run_sync(_check_foreign_keys)
            return outcome
    finally:
        await engine.dispose()


def newest_revision() -> str:
    """The revision that no other one builds on."""
    revisions = _revisions()
    newest = set(revisions) - set(revisions.values())
    if len(newest) != 1:
        raise RuntimeError(f"The migrations have {len(newest)} heads instead of one.")
    return newest.pop()


def _revisions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for path in sorted((_FOLDER / "versions").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        revision, before = _REVISION.search(source), _BEFORE.search(source)
        if revision:
            found[revision[1]] = before[1] if before else None
    return found


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    current: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return current


async def _alembic(settings: Settings, verb: str, revision: str) -> None:
    command = importlib.import_module("alembic.command")
    await on_connection(settings, lambda connection: getattr(command, verb)(_config(connection), revision))


def _config(connection: Connection) -> Any:
    config = importlib.import_module("alembic.config").Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(settings: Settings, *, for_writing: bool) -> AsyncEngine:
    url = driver_url(settings.database_url)
    if url.get_backend_name() == "postgresql":
        options = pooler.CONNECT_ARGS if settings.database_pooler else {}
        engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": 10, **options})
        if settings.database_pooler:
            pooler.begin_with_a_transaction(engine)
        return engine
    engine = create_async_engine(
        url, module=sqlite_driver(), poolclass=NullPool, connect_args={"timeout": _LOCK_TIMEOUT_S}
    )

    # SQLite changes a table by copying it; with foreign keys on, dropping the old one would delete what refers to it.
    # They are checked at the end instead, inside the same transaction.
    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        if for_writing:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.begin_with_next("BEGIN IMMEDIATE" if for_writing else "BEGIN")

    return engine


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        raise RuntimeError(f"The migration would leave rows that refer to nothing, in: {tables}.")
