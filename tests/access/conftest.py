"""Sessions over a real database with the password check observed; organizations on a running server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from roost.access.audit.log import use_key
from roost.access.passwords import Passwords
from roost.access.sessions import Sessions
from roost.access.tokens import AccessTokens
from roost.core.database import Database
from roost.core.settings import Settings
from roost.places.registration import register
from tests.access.companies import Company, MakeCompany, companies
from tests.migrated_databases import MigratedDatabases
from tests.roost_server import RoostServer
from tests.stopped_clock import StoppedClock


@pytest.fixture
async def settled_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: MigratedDatabases
) -> AsyncIterator[tuple[Sessions, AsyncMock]]:
    """The sessions of a hub where `ada@example.org` is registered, and the observed password check."""
    settings, clock = Settings(data_dir=tmp_path, _env_file=None), StoppedClock()
    migrated.sqlite(tmp_path / "roost.db")
    database, passwords = Database(settings), Passwords()
    use_key(database, "k" * 43)
    async with database.write() as session:
        kept = await passwords.hash("Test1234!")
        await register(session, clock, email="ada@example.org", password_hash=kept)
    verify = AsyncMock(wraps=passwords.verify)
    monkeypatch.setattr(passwords, "verify", verify)
    yield Sessions(database, settings, AccessTokens(settings, "s" * 43, clock), passwords, clock), verify
    passwords.close()
    await database.dispose()


@pytest.fixture
def make_company(server: RoostServer) -> Iterator[MakeCompany]:
    """Makes another organization, which knows nothing of the others."""
    yield from companies(server)


@pytest.fixture
def company(make_company: MakeCompany) -> Company:
    """An organization."""
    return make_company()
