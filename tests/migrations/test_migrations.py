"""Migrations on both databases: up, down and up again with rows in the tables, together, and never half."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from roost.core.settings import Settings
from roost.migrations import runner
from roost.migrations.tables import metadata
from tests.warm_roost import warm_roost

REPOSITORY = Path(__file__).parents[2]
ALEMBIC = Path(sys.executable).parent / "alembic"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, empty_database_url: str) -> Settings:
    """An empty database of each kind."""
    return Settings(data_dir=tmp_path, database_url=empty_database_url, _env_file=None)


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": settings.database_url,
        "ROOST_DATA_DIR": str(settings.data_dir),
    }


def run_alembic(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = environment_of(settings)
    return warm_roost.run(arguments, cwd=REPOSITORY, environment=environment, timeout_s=60, program="alembic")


def _sample(column: sa.Column[Any], rows: dict[str, dict[str, Any]]) -> Any:
    """A value that the column can hold; references point at the row of the other table."""
    for reference in column.foreign_keys:
        return rows[reference.column.table.name][reference.column.name]
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {}
    for python_type, value in ((sa.Boolean, True), (sa.Integer, 1), (sa.Float, 1.5), (sa.LargeBinary, b"x")):
        if isinstance(kind, python_type):
            return value
    if isinstance(kind, sa.String):
        return "x"
    return NOON


def fill(connection: Connection) -> None:
    """A row in every table."""
    rows: dict[str, dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        row = {column.name: _sample(column, rows) for column in table.columns}
        connection.execute(table.insert(), row)
        rows[table.name] = row


def count_rows(connection: Connection) -> dict[str, int]:
    query = sa.select(sa.func.count())
    return {table.name: connection.scalar(query.select_from(table)) or 0 for table in metadata.sorted_tables}


def tables_of(connection: Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


async def test_up_down_up_with_rows_in_every_table(settings: Settings) -> None:
    await runner.upgrade(settings)
    await runner.on_connection(settings, fill)
    assert set((await runner.on_connection(settings, count_rows)).values()) == {1}
    await runner.downgrade(settings, "base")
    assert await runner.on_connection(settings, tables_of) <= {"alembic_version"}
    await runner.upgrade(settings)
    assert set((await runner.on_connection(settings, count_rows)).values()) == {0}
    await runner.on_connection(settings, fill)


async def test_the_models_and_the_migrations_agree(settings: Settings) -> None:
    await runner.upgrade(settings)
    checked = await asyncio.to_thread(run_alembic, settings, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_nothing_to_do_is_noticed_without_alembic(settings: Settings) -> None:
    assert await runner.read_status(settings) == runner.SchemaStatus(None, runner.newest_revision())
    assert await runner.migrate_at_start(settings) is True
    assert await runner.migrate_at_start(settings) is False
    assert (await runner.read_status(settings)).is_current


async def test_processes_that_start_together_migrate_once(settings: Settings) -> None:
    program = (
        "import asyncio\n"
        "from roost.core.settings import Settings\n"
        "from roost.migrations.runner import migrate_at_start\n"
        f"asyncio.run(migrate_at_start(Settings(database_url={settings.database_url!r}, _env_file=None)))"
    )
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=REPOSITORY, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    assert (await runner.read_status(settings)).is_current


async def test_a_migration_that_fails_changes_nothing(settings: Settings) -> None:
    def half(connection: Connection) -> None:
        metadata.tables["users"].create(connection)
        raise RuntimeError("The power went out.")

    with pytest.raises(RuntimeError, match="power"):
        await runner.on_connection(settings, half)
    assert await runner.on_connection(settings, tables_of) == set()


async def test_a_newer_schema_is_left_alone(settings: Settings) -> None:
    await runner.upgrade(settings)
    newer = sa.text("UPDATE alembic_version SET version_num = '9999'")
    await runner.on_connection(settings, lambda connection: connection.execute(newer))
    with pytest.raises(runner.SchemaTooNew, match="9999"):
        await runner.migrate_at_start(settings)


def test_alembic_prints_sql_for_review(settings: Settings) -> None:
    printed = run_alembic(settings, "upgrade", "head", "--sql")
    assert "CREATE TABLE users" in printed.stdout, printed.stderr
    downwards = run_alembic(settings, "downgrade", f"{runner.newest_revision()}:base", "--sql")
    assert "DROP TABLE users" in downwards.stdout, downwards.stderr


def test_alembic_up_and_down(settings: Settings) -> None:
    for arguments in (("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "+1")):
        done = run_alembic(settings, *arguments)
        assert done.returncode == 0, done.stderr
    command = subprocess.run(
        [str(ALEMBIC), "current"],
        cwd=REPOSITORY,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    assert runner.newest_revision() in command.stdout


def test_references_that_break_stop_the_migration(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'a.db'}", _env_file=None)

    def orphan(connection: Connection) -> None:
        connection.execute(
            metadata.tables["homes"].insert(),
            {"organization_id": 7, "name": "x", "created_at": NOON, "updated_at": NOON},
        )

    asyncio.run(runner.upgrade(settings))
    with pytest.raises(RuntimeError, match="homes"):
        asyncio.run(runner.on_connection(settings, orphan))
