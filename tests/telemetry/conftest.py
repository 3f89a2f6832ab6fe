"""The log on each database, with a clock that the test moves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roost.devices.identity import DeviceIdentity
from roost.telemetry.log import Log
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.sqlite_log import SqliteLog
from tests.conftest import DatabaseKind

NOW = 1_790_000_000_000


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = NOW

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def log(
    database_kind: DatabaseKind, empty_database_url: str, tmp_path: Path, clock: HandClock
) -> AsyncIterator[Log]:
    opened: Log = (
        SqliteLog(tmp_path / "telemetry", clock)
        if database_kind == "sqlite"
        else PostgresLog(empty_database_url, clock)
    )
    await opened.open()
    yield opened
    await opened.close()


def identity(device_id: int) -> DeviceIdentity:
    return DeviceIdentity(device_id, f"device-{device_id}", 1, 1)
