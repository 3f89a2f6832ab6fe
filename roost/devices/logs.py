"""What a device says about itself in words, and what the hub says about it."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.disk import DiskGuard, Room
from roost.devices.messages import DELETED, LOGS_WRITTEN
from roost.devices.models import Device, DeviceLog, LogLevel

LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LONGEST_MESSAGE = 2000

_KEPT_LINES = 1000
_LINES_A_MINUTE = 120
_QUEUE_LIMIT = 10_000
_GATHER_S = 0.2
_RETRY_S = 2.0
_STOP_PATIENCE_S = 5.0
_BATCH = 500
# Old lines are cleared away after so many new ones, not after each.
_TRIM_EVERY = 100
# So many outdated lines end in one transaction; others want to write, too.
_FORGET_AT_ONCE = 5_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogLine:
    device_id: int
    received_at: datetime
    observed_at: datetime
    level: str
    source: str
    message: str


@dataclass(slots=True)
class _Minute:
    """How many lines of one device were taken and left out in the minute that began at `started_ms`."""

    started_ms: int
    taken: int = 0
    left_out: int = 0


class DeviceLogs:
    """Lines from anywhere, written in batches; at most 120 a minute, and the newest are kept for each device.

    Lines beyond the limit are counted, and the count becomes a line of its own in the next minute, so that nobody
    takes a quiet log for a healthy device.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        bus: Bus,
        *,
        lines_a_minute: int = _LINES_A_MINUTE,
        kept_lines: int = _KEPT_LINES,
        disk: DiskGuard | None = None,
    ) -> None:
        """`kept_lines` of each device are kept. `disk`: while it is nearly full, no line is taken."""
        self._database = database
        self._disk = disk
        self._clock = clock
        self._lines_a_minute = lines_a_minute
        self._kept_lines = kept_lines
        self._queue: deque[LogLine] = deque()
        self._minutes: dict[int, _Minute] = {}
        self._untrimmed: dict[int, int] = {}
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._unsubscribe = bus.subscribe(DELETED, lambda _subject, message: self._forget(message["device_id"]))

    def ensure_room(self) -> None:
        """For those who want to be told why a line is not taken. Raises NoRoom."""
        if self._disk is not None:
            self._disk.ensure_room()

    def write(self, device_id: int, level: str, message: str, source: str = "hub", at: datetime | None = None) -> bool:
        """Take a line, to be stored a moment later. Never waits; False when there was too much, or there is no room."""
        if self._disk is not None and self._disk.room is not Room.ALL:
            return False
        now = self._clock.now()
        if not self._may_write(device_id, now):
            return False
        text = message.replace("\x00", "")[:LONGEST_MESSAGE]
        self._queue.append(LogLine(device_id, now, at or now, level if level in LEVELS else "info", source, text))
        self._wake.set()
        return True

    def room(self, device_id: int) -> int:
        """How many lines the device may still write in this minute."""
        minute = self._minutes.get(device_id)
        if minute is None or self._clock.now_ms() - minute.started_ms >= 60_000:
            return self._lines_a_minute
        return self._lines_a_minute - minute.taken

    async def flush(self) -> None:
        """Store what is queued; for a reader that wants to see its own lines, and for the end."""
        # One at a time: who finds the queue empty must not return while another still commits what was in it.
        async with self._turn:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]
                try:
                    async with self._database.write() as session:
                        await self._store(session, batch)
                except BaseException:
                    self._queue.extendleft(reversed(batch))
                    raise

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._write_queued(), name="device-logs")

    async def stop(self) -> None:
        self._unsubscribe()
        # Not in the middle of a transaction: SQLite would stay locked for the last one.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE_S), self._turn:
                await self._end_writer()
        await self._end_writer()
        try:
            await self.flush()
        except Exception:
            logger.exception("The last lines of device logs could not be written.")

    async def _end_writer(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None

    def _may_write(self, device_id: int, now: datetime) -> bool:
        now_ms = int(now.timestamp() * 1000)
        minute = self._minutes.get(device_id)
        if minute is None or now_ms - minute.started_ms >= 60_000:
            if minute is not None and minute.left_out:
                text = (
                    f"{minute.left_out} more lines were left out: a device may write {self._lines_a_minute} a minute."
                )
                self._queue.append(LogLine(device_id, now, now, "warning", "hub", text))
            if len(self._minutes) > _QUEUE_LIMIT:
                self._minutes.clear()
            minute = self._minutes[device_id] = _Minute(now_ms)
        if minute.taken >= self._lines_a_minute or len(self._queue) >= _QUEUE_LIMIT:
            minute.left_out += 1
            return False
        minute.taken += 1
        return True

    def _forget(self, device_id: int) -> None:
        self._minutes.pop(device_id, None)
        self._untrimmed.pop(device_id, None)

    async def _write_queued(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_GATHER_S)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - the lines stay queued until the database is back
                logger.warning("Device logs wait, the database did not take them: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _store(self, session: AsyncSession, lines: Sequence[LogLine]) -> None:
        about = {line.device_id for line in lines}
        # Locked against deletion where rows can be: a line about a device that is going must not fail the others.
        query = select(Device.id).where(Device.id.in_(about)).order_by(Device.id)
        known = set((await session.scalars(query.with_for_update(read=True, key_share=True))).all())
        rows: list[dict[str, Any]] = [
            {
                "device_id": line.device_id,
                "received_at": line.received_at,
                "observed_at": line.observed_at,
                "level": line.level,
                "source": line.source,
                "message": line.message,
            }
            for line in lines
            if line.device_id in known
        ]
        if rows:
            written = await session.execute(insert(DeviceLog).returning(DeviceLog.id, DeviceLog.device_id), rows)
            outbox.add(session, LOGS_WRITTEN, {"lines": sorted([*line] for line in written)})
        for row in rows:
            self._untrimmed[row["device_id"]] = self._untrimmed.get(row["device_id"], 0) + 1
        for device_id in known:
            if self._untrimmed.get(device_id, 0) >= _TRIM_EVERY:
                self._untrimmed[device_id] = 0
                await self._trim(session, device_id)

    async def _trim(self, session: AsyncSession, device_id: int) -> None:
        oldest_kept = (
            select(DeviceLog.id)
            .where(DeviceLog.device_id == device_id)
            .order_by(DeviceLog.id.desc())
            .offset(self._kept_lines - 1)
            .limit(1)
            .scalar_subquery()
        )
        await session.execute(delete(DeviceLog).where(DeviceLog.device_id == device_id, DeviceLog.id < oldest_kept))


async def forget_old_lines(session: AsyncSession, now: datetime, kept_days: int) -> bool:
    """Delete lines that came more than so many days ago, at most 5,000; whether there may be more."""
    old = select(DeviceLog.id).where(DeviceLog.received_at < now - timedelta(days=kept_days)).limit(_FORGET_AT_ONCE)
    gone = await session.execute(delete(DeviceLog).where(DeviceLog.id.in_(old)).returning(DeviceLog.id))
    return len(gone.all()) == _FORGET_AT_ONCE
