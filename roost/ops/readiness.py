"""Whether the hub can do its work now: database, telemetry log, disk space, clock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import text

from roost.core.clock import Clock
from roost.core.database import Database
from roost.ops.sampling import Sampling
from roost.ops.schemas import Check
from roost.telemetry.ingest import Ingest
from roost.telemetry.queries import TelemetryStore

CHECK_TIMEOUT_S = 3.0
ANSWER_KEPT_S = 1.0
FREE_DISK_BYTES = 100 * 1024 * 1024
# No copy of this program is older than this; a clock that says so has not been set (a Pi without network, say).
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
NO_DEVICE = 0


class Readiness:
    """Runs the checks, at most once a second however many ask."""

    def __init__(
        self, database: Database, ingest: Ingest, store: TelemetryStore, sampling: Sampling, clock: Clock
    ) -> None:
        self._database = database
        self._ingest = ingest
        self._store = store
        self._sampling = sampling
        self._clock = clock
        self._turn = asyncio.Lock()
        self._checked_at: float | None = None
        self._checks: dict[str, Check] = {}

    async def checks(self) -> dict[str, Check]:
        """Every check by name. The details name no paths, hosts or passwords: anybody may read them."""
        async with self._turn:
            now = self._clock.monotonic()
            if self._checked_at is None or now - self._checked_at > ANSWER_KEPT_S:
                database, log, disk = await asyncio.gather(
                    _bounded(self._database_answers, "The database does not answer."),
                    _bounded(self._log_answers, "The telemetry log does not answer."),
                    _bounded(self._disk_has_room, "The data folder cannot be reached."),
                )
                self._checks = {"database": database, "log": log, "disk": disk, "clock": self._clock_is_set()}
                self._checked_at = self._clock.monotonic()
            return self._checks

    async def _database_answers(self) -> Check:
        async with self._database.read() as session:
            await session.execute(text("SELECT 1"))
        return Check(ok=True, detail="The database answers.")

    async def _log_answers(self) -> Check:
        if self._ingest.full:
            return Check(ok=False, detail="More telemetry waits than the log can take at the moment.")
        await self._store.recent([NO_DEVICE], 1)
        return Check(ok=True, detail="The telemetry log answers.")

    async def _disk_has_room(self) -> Check:
        free = await self._sampling.free_disk_bytes()
        room = f"{free // (1024 * 1024):,} MiB are free for the data folder."
        return Check(ok=free >= FREE_DISK_BYTES, detail=room)

    def _clock_is_set(self) -> Check:
        if EARLIEST <= self._clock.now() <= LATEST:
            return Check(ok=True, detail="The clock is set.")
        return Check(ok=False, detail="The clock of this machine is not set; times of messages would be wrong.")


async def _bounded(check: Callable[[], Awaitable[Check]], failure: str) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except Exception:  # noqa: BLE001 - whatever it is, the hub is not ready, and this is where that is said
        return Check(ok=False, detail=failure)
