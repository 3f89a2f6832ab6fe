"""Messages by home and day: what is counted reaches the table, across midnight and while the database is away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.core.database import Database
from roost.core.settings import Settings
from roost.devices.identity import DeviceIdentity
from roost.ops.message_counts import MessageCounts
from roost.telemetry.messages import Committed, Message
from tests.stopped_clock import StoppedClock

DAY_S = 86_400
HERE, THERE, NOWHERE = 7, 8, None


@pytest.fixture
def clock() -> StoppedClock:
    """A minute before midnight UTC."""
    return StoppedClock(1_800_000_000_000 // (DAY_S * 1000) * DAY_S * 1000 + (DAY_S - 60) * 1000)


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, _env_file=None)
    opened = Database(settings)
    yield opened
    await opened.dispose()


def messages(clock: StoppedClock, home_id: int | None, count: int) -> list[Committed]:
    device = DeviceIdentity(1, "a-device", 1, home_id)
    now = clock.now_ms()
    return [Committed(device, Message(now, now, None, {}, b"{}")) for _ in range(count)]


async def today(counts: MessageCounts, database: Database) -> dict[int, int]:
    async with database.read() as session:
        return await counts.today(session, [HERE, THERE])


async def test_every_day_counts_for_itself(database: Database, clock: StoppedClock) -> None:
    counts = MessageCounts(database, clock)
    counts.note(messages(clock, HERE, 2) + messages(clock, THERE, 1) + messages(clock, NOWHERE, 5))
    assert await today(counts, database) == {HERE: 2, THERE: 1}
    clock.advance(120)
    assert await today(counts, database) == {}
    counts.note(messages(clock, HERE, 3))
    await counts.stop()
    # Another process finds what this one wrote down, and goes on.
    following = MessageCounts(database, clock)
    assert await today(following, database) == {HERE: 3}
    following.note(messages(clock, HERE, 1))
    await following.stop()
    assert await today(following, database) == {HERE: 4}
    clock.advance(-120)
    assert await today(following, database) == {HERE: 2, THERE: 1}


async def test_nothing_is_lost_or_doubled_when_the_database_is_away(
    database: Database, clock: StoppedClock, tmp_path: Path
) -> None:
    elsewhere = Database(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'no' / 'folder.db'}"))
    counts = MessageCounts(elsewhere, clock)
    counts.note(messages(clock, HERE, 2))
    await counts.stop()
    counts.note(messages(clock, HERE, 1))
    assert await today(counts, database) == {HERE: 3}
    await elsewhere.dispose()
