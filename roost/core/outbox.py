"""Events that must not be lost or told too early: written with the change itself, published right after its commit.

Every process relays every row to its own bus: its own changes before the answer goes out, those of other processes
(the command line, another server on the same PostgreSQL) within a second. Ids follow the order of commits, because
SQLite has one writer and PostgreSQL writers take an advisory lock for the moment between numbering and commit; so
remembering the last id is enough to see each row once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, String, bindparam, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.bus import Bus
from roost.core.clock import Clock, SystemClock
from roost.core.database import AWAY, Base, BigId, Database, UtcDateTime, before_commit
from roost.core.errors import RoostError

_log = logging.getLogger(__name__)

_PENDING = "roost_outbox"
_POLL_S = 1.0
_BATCH = 500
_KEEP = timedelta(hours=1)
_PRUNE_EVERY_S = 600.0
# An arbitrary number that no other lock of the application uses.
_ORDER_LOCK = 7_303_014
_RANK = 1


class OutboxRow(Base):
    """One event, kept for an hour so that every process has seen it."""

    __tablename__ = "outbox"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subject: Mapped[str] = mapped_column(String(128))
    message: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


# Put together once: it is asked every second and after every change.
_FOLLOWING = (
    select(OutboxRow.id, OutboxRow.subject, OutboxRow.message)
    .where(OutboxRow.id > bindparam("last_id"))
    .order_by(OutboxRow.id)
    .limit(_BATCH)
)


def add(session: AsyncSession, subject: str, message: dict[str, Any]) -> None:
    """Publish `message` on the bus of every process once this write session has committed. Plain JSON values only."""
    pending = session.info.get(_PENDING)
    if pending is None:
        pending = session.info[_PENDING] = []
        before_commit(session, _write, rank=_RANK)
    pending.append({"subject": subject, "message": message})


async def _write(session: AsyncSession) -> None:
    pending = session.info.pop(_PENDING, [])
    await session.flush()
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER_LOCK})
    now = SystemClock().now()
    await session.execute(insert(OutboxRow), [{**row, "created_at": now} for row in pending])


class Outbox:
    """Relays committed events to the bus of this process."""

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._last_id = 0
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] | None = None

    async def start(self) -> None:
        """Begin after what is there already: a new process has no state that older events could change."""
        async with self._database.read() as session:
            self._last_id = await session.scalar(select(func.max(OutboxRow.id))) or 0
        self._stop_listening = self._database.after_commit(self._relay_own)
        self._task = asyncio.create_task(self._poll(), name="outbox")

    async def stop(self) -> None:
        """Stop relaying; rows committed from now on are for other processes."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def relay(self) -> None:
        """Publish every committed row that this process has not published yet."""
        async with self._turn:
            while True:
                async with self._database.read() as session:
                    rows = (await session.execute(_FOLLOWING, {"last_id": self._last_id})).all()
                for row in rows:
                    self._last_id = row.id
                    self._bus.publish(row.subject, row.message)
                if len(rows) < _BATCH:
                    return

    async def _relay_own(self) -> None:
        # The change is committed and will be relayed by the poll at the latest; its answer must not become an error.
        await _logged(self.relay)

    async def _poll(self) -> None:
        next_prune = self._clock.monotonic() + _PRUNE_EVERY_S
        while True:
            await asyncio.sleep(_POLL_S)
            await _logged(self.relay)
            if self._clock.monotonic() >= next_prune:
                next_prune = self._clock.monotonic() + _PRUNE_EVERY_S
                await _logged(self._prune)

    async def _prune(self) -> None:
        async with self._database.write() as session:
            await session.execute(delete(OutboxRow).where(OutboxRow.created_at < self._clock.now() - _KEEP))


async def _logged(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except (*AWAY, RoostError) as error:
        _log.warning("The outbox cannot reach the database: %s", error)
