"""Whether the hub can do its work now: database, telemetry log, disk space, clock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import text

from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.disk import DiskGuard, Room
from roost.ops.intake import Intake
from roost.ops.sampling import Sampling
from roost.ops.schemas import Check
from roost.telemetry.condition import LogCondition
from roost.telemetry.queries import TelemetryStore

CHECK_TIMEOUT_S = 3.0
ANSWER_KEPT_S = 1.0
MEBIBYTE = 1024 * 1024
# A message that was stored so lately proves that the log can be written; otherwise it is tried.
PROVED_BY_MESSAGE_S = 30.0
PROOF_KEPT_S = 10.0
# No copy of this program is older than this; a clock that says so has not been set (a Pi without network, say).
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
NO_DEVICE = 0
_REFUSED = {
    Room.ALL: "",
    Room.TELEMETRY: " Logs of devices and imports are refused.",
    Room.NONE: " Telemetry is refused, too.",
}


class Readiness:
    """Runs the checks, at most once a second however many ask."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        store: TelemetryStore,
        sampling: Sampling,
        clock: Clock,
        *,
        condition: LogCondition,
        min_free_disk_mib: int,
        disk: DiskGuard,
    ) -> None:
        self._database = database
        self._intake = intake
        self._store = store
        self._sampling = sampling
        self._clock = clock
        self._condition = condition
        self._min_free_disk_mib = min_free_disk_mib
        self._disk = disk
        self._turn = asyncio.Lock()
        self._checked_at: float | None = None
        self._proved_at: float | None = None
        self._checks: dict[str, Check] = {}

    async def checks(self) -> dict[str, Check]:
        """Every check by name. The details name no paths, hosts or passwords: anybody may read them."""
        async with self._turn:
            now = self._clock.monotonic()
            if self._checked_at is None or now - self._checked_at > ANSWER_KEPT_S:
                database, log, disk = await asyncio.gather(
                    _bounded(self._database_answers, "The database does not answer."),
                    _bounded(self._log_answers, "The telemetry log cannot be read or written."),
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
        if self._intake.ingest.full:
            return Check(ok=False, detail="More telemetry waits than the log can take at the moment.")
        await self._store.recent([NO_DEVICE], 1)
        stored_ago_s = self._intake.stored_ago_s
        failing = self._intake.failing
        if stored_ago_s is not None and stored_ago_s < PROVED_BY_MESSAGE_S and not failing:
            return Check(ok=True, detail="The telemetry log is being written.")
        now = self._clock.monotonic()
        if failing or self._proved_at is None or now - self._proved_at > PROOF_KEPT_S:
            self._proved_at = None
            await self._condition.prove_writable()
            self._proved_at = now
        return Check(ok=True, detail="The telemetry log can be read and written.")

    async def _disk_has_room(self) -> Check:
        free_mib = await self._sampling.free_disk_bytes() // MEBIBYTE
        if free_mib >= self._min_free_disk_mib:
            return Check(ok=True, detail=f"{free_mib:,} MiB are free for the data folder.")
        wanted = f"{self._min_free_disk_mib:,}"
        detail = f"Only {free_mib:,} MiB are free for the data folder; {wanted} have to be.{_REFUSED[self._disk.room]}"
        return Check(ok=False, detail=detail)

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
