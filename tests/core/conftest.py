"""A migrated database of each kind, inside the test's own process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.core.database import Database
from roost.core.settings import Settings
from tests.stopped_clock import StoppedClock


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings for a database of each kind in turn."""
    return Settings(data_dir=tmp_path, database_url=database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(settings)
    yield opened
    await opened.dispose()


@pytest.fixture
def clock() -> StoppedClock:
    """A clock that the test moves."""
    return StoppedClock()
