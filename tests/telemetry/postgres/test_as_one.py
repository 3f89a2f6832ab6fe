"""The same on PostgreSQL: rows and blocks answer as one, like a list in memory."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from roost.core.clock import Clock
from roost.telemetry.blocks import events, pieces, planning
from roost.telemetry.postgres import appending, blocks, reads, removing, sealing, slices
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres_log import PostgresLog
from tests.postgres_cluster import PostgresCluster
from tests.telemetry.blocks.test_as_one import Store

SMALL = {
    (appending, "SLICE_ROWS"): 12,
    (appending, "COPY_ROWS"): 4,
    (planning, "BLOCK_ROWS"): 8,
    (planning, "SMALL_ROWS"): 4,
    (planning, "SMALL_RUN"): 3,
    (planning, "REWRITE_ROWS"): 24,
    (sealing, "UNIT_ROWS"): 6,
    (sealing, "LARGE_ROWS"): 16,
    (sealing, "SMALL_EVENTS"): 3,
    (sealing, "SMALL_RUN"): 3,
    (events, "BLOCK_ROWS"): 4,
    (blocks, "CHUNK"): 2,
    (removing, "CHUNK"): 2,
    (slices, "DELETE_ROWS"): 3,
    (reads, "SUMMARIES"): 4,
    (reads, "MONTHS"): 1,
    (reads, "FRAME_ROWS"): 10,
    (pieces, "FRAME_ROWS"): 10,
}
database_urls: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def small(postgres: PostgresCluster) -> Iterator[None]:
    database_urls.append(postgres.create_database())
    patch = pytest.MonkeyPatch()
    for (module, name), value in SMALL.items():
        patch.setattr(module, name, value)
    yield
    patch.undo()
    database_urls.clear()


class Stopped(BaseException):
    """The process that seals is gone."""


class StoppedConnections(Connections):
    """End with the process, before they have committed transaction number `steps`."""

    def __init__(self, database_url: str, clock: Clock, steps: int) -> None:
        super().__init__(database_url, clock)
        self._left = iter(range(steps))

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Any]:
        async with super().changing() as connection:
            yield connection
            if next(self._left, None) is None:
                raise Stopped


class PostgresStore(Store):
    """A log of tiny slices and blocks beside a list of everything that was accepted."""

    log: PostgresLog  # type: ignore[assignment]

    @initialize()
    def start(self) -> None:
        # What is late belongs to the month before.
        self.clock.ms = int(datetime(2026, 10, 1, 0, 0, 10, tzinfo=UTC).timestamp()) * 1000
        self.runner.run(self._start_anew())

    async def _start_anew(self) -> None:
        connection = await asyncpg.connect(database_urls[0])
        await connection.execute("DROP SCHEMA IF EXISTS telemetry CASCADE")
        await connection.close()
        await self._open()

    async def _open(self) -> None:
        self.log = PostgresLog(database_urls[0], self.clock)
        await self.log.open()

    @rule()
    def seal(self) -> None:
        self.runner.run(self._seal(Connections(database_urls[0], self.clock)))
        self.runner.run(self.log.let_go())
        assert not self.log.has_closed_slices

    @rule(steps=st.integers(0, 12))
    def seal_and_stop(self, steps: int) -> None:
        self.runner.run(self._seal(StoppedConnections(database_urls[0], self.clock, steps)))

    async def _seal(self, connections: Connections) -> None:
        try:
            await sealing.seal(connections, self.clock.now_ms())
        except Stopped:
            pass
        finally:
            await connections.close()

    @rule()
    def restart(self) -> None:
        self.runner.run(self.log.close())
        self.runner.run(self._open())

    def _closed(self) -> None:
        pass


TestPostgresStore = PostgresStore.TestCase
TestPostgresStore.settings = settings(
    max_examples=3, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.soak
def test_any_sequence_for_long() -> None:
    long = settings(
        max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(PostgresStore, settings=long)
