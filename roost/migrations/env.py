"""What Alembic runs: online on a connection that the runner opened and locked, or offline to print SQL."""

import asyncio
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from roost.core.database import UtcDateTime, driver_url
from roost.core.settings import Settings
from roost.migrations import runner
from roost.migrations.tables import metadata


def _render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    # A migration must not change when a type of the application does.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _number(_context: MigrationContext, _revision: str | Any, directives: list[MigrationScript]) -> None:
    script = ScriptDirectory.from_config(context.config)
    taken = [int(entry.revision[:4]) for entry in script.walk_revisions() if entry.revision[:4].isdecimal()]
    directives[0].rev_id = f"{max(taken, default=0) + 1:04d}"


def _ours(_object: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    # Tables in the database that no model describes belong to somebody else.
    return not (kind == "table" and reflected and compare_to is None and name not in metadata.tables)


_OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "render_item": _render,
    "render_as_batch": True,
    "include_object": _ours,
    "process_revision_directives": _number,
    "compare_server_default": True,
    "transactional_ddl": True,
}


def _run(connection: Connection) -> None:
    context.configure(connection=connection, **_OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def _print_sql() -> None:
    backend = driver_url(Settings().database_url).get_backend_name()
    context.configure(dialect_name=backend, literal_binds=True, dialect_opts={"paramstyle": "named"}, **_OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _print_sql()
elif (given := context.config.attributes.get("connection")) is not None:
    _run(given)
else:
    asyncio.run(runner.on_connection(Settings(), _run))
