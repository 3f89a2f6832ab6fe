"""The whole installation at one moment, for people (`/ops/overview`) and for Prometheus (`/metrics`)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import roost
from roost.core.clock import Clock
from roost.core.database import Database, sqlite_path
from roost.core.disk import MEBIBYTE, DiskGuard
from roost.core.errors import Unavailable
from roost.core.settings import Settings
from roost.ops import fleet
from roost.ops.failures import Failures
from roost.ops.fleet import Totals
from roost.ops.forecast import Stored, forecast
from roost.ops.host import HostSample
from roost.ops.intake import LATELY_S, NOW_S, Intake
from roost.ops.overview_schemas import (
    BacklogRead,
    ConnectionsRead,
    FailureRead,
    FleetRead,
    ForecastRead,
    IngestRead,
    Overview,
    ProcessRead,
    StorageRead,
)
from roost.ops.sampling import Sampling
from roost.ops.storage_history import StorageHistory
from roost.ops.traffic import Traffic
from roost.telemetry.condition import LogCondition
from roost.telemetry.log import LogUnavailable

ANSWER_KEPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Connections:
    """How to ask who is connected now."""

    mqtt: Callable[[], int]
    websockets: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What it takes a query or a system call to know; None where that was not to be had."""

    totals: Totals | None
    database_bytes: int | None
    telemetry_bytes: int | None
    host: HostSample


class Installation:
    """Gathers figures from everywhere, at most once a second however many ask."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        *,
        sampling: Sampling,
        condition: LogCondition,
        intake: Intake,
        failures: Failures,
        traffic: Traffic,
        connections: Connections,
        disk: DiskGuard,
    ) -> None:
        self.intake = intake
        self.failures = failures
        self.traffic = traffic
        self.connections = connections
        self.dialect = database.dialect
        self._database = database
        self._database_file = sqlite_path(settings.database_url)
        self._clock = clock
        self._sampling = sampling
        self._condition = condition
        self._disk = disk
        self.storage_history = StorageHistory(database, clock, self._stored_bytes)
        self._kept_free_bytes = settings.min_free_disk_mib * MEBIBYTE
        self._turn = asyncio.Lock()
        self._taken_at: float | None = None
        self._snapshot: Snapshot | None = None

    async def snapshot(self) -> Snapshot:
        """The figures of this second. Whatever is away is None."""
        async with self._turn:
            now = self._clock.monotonic()
            if self._snapshot is None or self._taken_at is None or now - self._taken_at > ANSWER_KEPT_S:
                self._snapshot = await self._take()
                self._taken_at = self._clock.monotonic()
            return self._snapshot

    async def overview(self) -> Overview:
        """Everything in one answer. Raises Unavailable while the database is away."""
        snapshot = await self.snapshot()
        totals = snapshot.totals
        if totals is None:
            raise Unavailable("The database cannot be reached at the moment; try again in a few seconds.")
        own, disk = snapshot.host.own, snapshot.host.disk
        now = self._clock.now()
        return Overview(
            time=now,
            devices=FleetRead(
                total=totals.devices.total,
                online=totals.devices.online,
                offline=totals.devices.offline,
                never_seen=totals.devices.never_seen,
                unclaimed=totals.unclaimed,
            ),
            ingest=self._ingest(),
            backlog=self._backlog(),
            connections=ConnectionsRead(
                mqtt=self.connections.mqtt(),
                websockets=self.connections.websockets(),
                requests=self.traffic.open,
                requests_per_minute=self.traffic.requests_per_minute,
            ),
            storage=StorageRead(
                database_bytes=snapshot.database_bytes,
                telemetry_bytes=snapshot.telemetry_bytes,
                disk_free_bytes=disk.free,
                disk_total_bytes=disk.total,
                refused=self._disk.room.value,
                forecast=await self._forecast(disk.free),
            ),
            failures=[FailureRead.model_validate(one, from_attributes=True) for one in self.failures.recent()],
            users=totals.users,
            active_users=totals.active_users,
            organizations=totals.organizations,
            homes=totals.homes,
            process=ProcessRead(
                version=roost.__version__,
                started_at=now - timedelta(seconds=own.uptime_s),
                uptime_s=round(own.uptime_s, 1),
                memory_bytes=own.rss,
                cpu_seconds=own.cpu_seconds,
                threads=own.threads,
            ),
        )

    async def _forecast(self, free_bytes: int) -> ForecastRead:
        history: list[Stored] = []
        with suppress(SQLAlchemyError, OSError):
            history = await self.storage_history.samples()
        # What is in PostgreSQL need not be on this machine.
        usable = free_bytes - self._kept_free_bytes if self._database_file is not None else None
        told = forecast(history, self._clock.now(), usable_bytes=usable)
        return ForecastRead.model_validate(told, from_attributes=True)

    async def _stored_bytes(self) -> int | None:
        snapshot = await self.snapshot()
        if snapshot.database_bytes is None or snapshot.telemetry_bytes is None:
            return None
        return snapshot.database_bytes + snapshot.telemetry_bytes

    def _ingest(self) -> IngestRead:
        intake = self.intake
        return IngestRead(
            messages_per_second=intake.messages_per_second(NOW_S),
            messages_per_second_5m=intake.messages_per_second(LATELY_S),
            accepted_total=intake.ingest.accepted_total,
            refused_total=intake.ingest.refused_total,
            refused_5m=intake.refused_lately,
            refused_by_code=dict(intake.ingest.refused_by_code),
            last_stored_at=intake.last_stored_at,
        )

    def _backlog(self) -> BacklogRead:
        messages, size = self.intake.ingest.waiting
        return BacklogRead(messages=messages, bytes=size, full=self.intake.ingest.full)

    async def _take(self) -> Snapshot:
        host, totals, telemetry = await asyncio.gather(self._sampling.sample(), self._totals(), self._telemetry_bytes())
        database = await self._database_bytes(telemetry)
        return Snapshot(totals, database, telemetry, host)

    async def _totals(self) -> Totals | None:
        try:
            async with self._database.read() as session:
                return await fleet.count_everything(session)
        except (SQLAlchemyError, OSError):
            return None

    async def _telemetry_bytes(self) -> int | None:
        try:
            return await self._condition.size_bytes()
        except LogUnavailable:
            return None

    async def _database_bytes(self, telemetry_bytes: int | None) -> int | None:
        """The state database alone: on PostgreSQL the telemetry lies in the same one."""
        file = self._database_file
        try:
            if file is not None:
                return await self._sampling.run(lambda: _size_of(file))
            async with self._database.read() as session:
                whole = await session.scalar(text("SELECT pg_database_size(current_database())"))
        except (SQLAlchemyError, OSError):
            return None
        return max(0, int(whole or 0) - (telemetry_bytes or 0))


def _size_of(database: Path) -> int:
    files = (Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm"))
    return sum(file.stat().st_size for file in files if file.exists())
