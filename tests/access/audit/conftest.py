"""An audit log on a real database of each kind, without a server around it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from roost.access.audit.log import Deed, record, use_key
from roost.access.audit.models import AuditEntry
from roost.core.database import Database
from roost.core.settings import Settings
from roost.migrations.tables import metadata
from tests.stopped_clock import StoppedClock

KEY = "k" * 43

Entries = Callable[[], Awaitable[list[AuditEntry]]]
Write = Callable[..., Awaitable[None]]


@pytest.fixture
def clock() -> StoppedClock:
    """A clock that the test moves."""
    return StoppedClock()


@pytest.fixture
async def database(empty_database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with a key for the seals."""
    opened = Database(Settings(database_url=empty_database_url, data_dir=tmp_path, _env_file=None))
    # Straight from the models: what guards the log is in the migrations, and these tests are about who gets past it.
    async with opened.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    use_key(opened, KEY)
    yield opened
    await opened.dispose()


@pytest.fixture
def entries(database: Database) -> Entries:
    """`await entries()`: the log as it stands, the oldest first."""

    async def read() -> list[AuditEntry]:
        async with database.read() as session:
            return list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))

    return read


@pytest.fixture
def write(database: Database) -> Write:
    """`await write(deed, …)`: record these in one transaction."""

    async def write_them(*deeds: Deed) -> None:
        async with database.write() as session:
            for deed in deeds:
                record(session, deed)

    return write_them
