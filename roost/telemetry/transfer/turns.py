"""One process writes the archive at a time, and knows how far it had come."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError
from roost.core.tasks import end
from roost.telemetry.transfer.models import THE_ONE, ArchiveState

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
RENEW_S = 120.0
# On PostgreSQL a message may be committed after one with a higher id, but not so much later.
CERTAIN = timedelta(seconds=60)


class AnotherWrites(Exception):  # noqa: N818 - a state, not an error
    """Another process writes the archive at the moment."""


class Turn:
    """The right to write the archive."""

    def __init__(self, database: Database, clock: Clock, state: ArchiveState, writer: str) -> None:
        self._database = database
        self._clock = clock
        self._writer = writer
        self._seen_id, self._seen_at = state.seen_id, state.seen_at
        self._began = clock.now()
        self.through_id = state.through_id

    async def keep(self) -> None:
        """Raises AnotherWrites when it has been lost, as it is by a process that stood still for minutes."""
        now = self._clock.now()
        mine = (ArchiveState.writer == self._writer, ArchiveState.leased_until > now)
        async with self._database.write() as session:
            kept: Any = await session.execute(update(ArchiveState).where(*mine).values(leased_until=now + LEASE))
            if kept.rowcount == 0:
                raise AnotherWrites("Another process has taken over the archive.")

    async def done(self, last_id: int, complete_before_ms: int) -> None:
        """Everything up to this id that was seen when the turn began is in the archive, with all months before this."""
        changed: dict[str, Any] = {"complete_before_ms": complete_before_ms}
        if self._database.dialect == "sqlite":
            # One process gives the ids there, in the order of its commits.
            changed |= {"through_id": last_id, "seen_id": last_id, "seen_at": self._began}
        elif self._began - self._seen_at >= CERTAIN:
            changed |= {"through_id": self._seen_id, "seen_id": last_id, "seen_at": self._began}
        async with self._database.write() as session:
            mine = ArchiveState.writer == self._writer
            await session.execute(update(ArchiveState).where(mine).values(**changed))

    async def renew(self) -> None:
        """Keeps it as long as this runs."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.keep()
            except (*AWAY, AnotherWrites, RoostError) as error:
                logger.warning("the turn to write the archive could not be kept: %s", error)


@asynccontextmanager
async def archive_turn(database: Database, clock: Clock) -> AsyncIterator[Turn]:
    """Raises AnotherWrites."""
    writer = secrets.token_hex(8)
    turn = await _take(database, clock, writer)
    renewing = asyncio.create_task(turn.renew(), name="archive-turn")
    try:
        yield turn
    finally:
        await end(renewing)
        async with database.write() as session:
            given_up = {"writer": None, "leased_until": None}
            await session.execute(update(ArchiveState).where(ArchiveState.writer == writer).values(**given_up))


async def _take(database: Database, clock: Clock, writer: str) -> Turn:
    now = clock.now()
    insert: Any = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
    free = or_(ArchiveState.writer.is_(None), ArchiveState.leased_until <= now)
    async with database.write() as session:
        nothing = {"id": THE_ONE, "through_id": 0, "seen_id": 0, "seen_at": now - CERTAIN, "complete_before_ms": 0}
        await session.execute(insert(ArchiveState).values(nothing).on_conflict_do_nothing())
        taken: Any = await session.execute(
            update(ArchiveState).where(free).values(writer=writer, leased_until=now + LEASE)
        )
        if taken.rowcount == 0:
            raise AnotherWrites("Another process is writing the archive.")
        state = await session.scalar(select(ArchiveState))
        if state is None:
            raise AssertionError("It was made above.")
        return Turn(database, clock, state, writer)


async def archived_through(database: Database) -> tuple[int, int]:
    """Up to which id messages are in the archive if their month is, and before which moment (ms) all months are."""
    async with database.read() as session:
        state = await session.scalar(select(ArchiveState))
    return (0, 0) if state is None else (state.through_id, state.complete_before_ms)
