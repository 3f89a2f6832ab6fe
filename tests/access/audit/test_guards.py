"""Both databases refuse to change or remove entries."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from roost.core.settings import Settings
from roost.migrations import runner
from tests.migrations.test_migrations import fill

STATEMENTS = [
    "UPDATE audit_entries SET action = 'x'",
    "DELETE FROM audit_entries",
    "DELETE FROM audit_head",
    "TRUNCATE audit_entries",
]


async def test_an_entry_stays_as_it_is(tmp_path: Path, database_url: str) -> None:
    settings = Settings(data_dir=tmp_path, database_url=database_url, _env_file=None)
    await runner.on_connection(settings, fill)
    for statement in STATEMENTS:
        if "TRUNCATE" in statement and database_url.startswith("sqlite"):
            continue

        def attempt(connection: Connection, statement: str = statement) -> None:
            connection.execute(text(statement))

        with pytest.raises(DBAPIError, match="audit log"):
            await runner.on_connection(settings, attempt)
