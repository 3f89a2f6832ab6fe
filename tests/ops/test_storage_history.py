"""What is stored is noted once a day, on each database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from roost.core.database import Database
from roost.core.settings import Settings
from roost.ops.storage_history import StorageHistory
from tests.stopped_clock import StoppedClock

DAY_S = 86_400


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    opened = Database(settings)
    yield opened
    await opened.dispose()


async def test_once_a_day_and_not_for_ever(database: Database) -> None:
    clock = StoppedClock()
    size: int | None = 100

    async def measure() -> int | None:
        return size

    history = StorageHistory(database, clock, measure)
    assert await history.samples() == []
    await history.note()
    size = 200
    clock.advance(60)
    await history.note()
    assert [one.bytes for one in await history.samples()] == [100]
    clock.advance(DAY_S)
    await history.note()
    size = None  # the log is away: nothing is noted rather than something wrong
    clock.advance(DAY_S)
    await history.note()
    size = 400
    await history.note()
    samples = await history.samples()
    assert [one.bytes for one in samples] == [100, 200, 400]
    assert samples[-1].at - samples[0].at == timedelta(days=2, minutes=1)
    clock.advance(29 * DAY_S)
    await history.note()
    assert [one.bytes for one in await history.samples()] == [400, 400]
