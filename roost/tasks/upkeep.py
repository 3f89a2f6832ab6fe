"""What time does to tasks: leases end, tasks become due or expire, and those that ended long ago go."""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.tasks import end
from roost.tasks.leasing import LEASED, QUEUED, places_of, take_back
from roost.tasks.messages import tell_due
from roost.tasks.models import Task, TaskBulk
from roost.tasks.record import Record
from roost.tasks.states import check_transition

EVERY_S = 1.0
_FORGET_EVERY_S = 3600.0
_AT_ONCE = 1000
_STOP_PATIENCE_S = 5.0
# After a start: what became due while nobody looked.
_LOOK_BACK = timedelta(minutes=5)

logger = logging.getLogger(__name__)


class Upkeep:
    """Looks every second with one cheap question, and writes only when there is something to write."""

    def __init__(self, database: Database, clock: Clock, *, keep_days: int) -> None:
        self._database = database
        self._clock = clock
        self._keep = timedelta(days=keep_days)
        self._looked_at = clock.now() - _LOOK_BACK
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> None:
        """Errors of the database pass through."""
        async with self._turn:
            since, now = self._looked_at, self._clock.now()
            if await self._anything(since, now):
                async with self._database.write() as session:
                    record = Record(now)
                    await take_back(session, record, limit=_AT_ONCE)
                    await _expire(session, record)
                    await record.write(session)
                    due = select(Task.device_id).where(_due(since, now)).distinct()
                    tell_due(session, await session.scalars(due))
            self._looked_at = now

    async def forget(self) -> int:
        """Delete what ended before the days that tasks are kept; the number of tasks. Errors pass through."""
        before = self._clock.now() - self._keep
        forgotten = 0
        while True:
            async with self._turn, self._database.write() as session:
                old = select(Task.id).where(Task.ended_at.is_not(None), Task.ended_at < before).limit(_AT_ONCE)
                gone = await session.scalars(delete(Task).where(Task.id.in_(old)).returning(Task.id))
                count = len(gone.all())
                if not count:
                    empty = ~exists().where(Task.bulk_id == TaskBulk.id)
                    await session.execute(delete(TaskBulk).where(TaskBulk.created_at < before, empty))
            forgotten += count
            if count < _AT_ONCE:
                return forgotten

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="task-upkeep")

    async def stop(self) -> None:
        # Not in the middle of a transaction: SQLite would stay locked for those who write their last words after this.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE_S), self._turn:
                await self._end()
        await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _run(self) -> None:
        forget_at = self._clock.monotonic() + _FORGET_EVERY_S
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.run_once()
                if self._clock.monotonic() >= forget_at:
                    forget_at = self._clock.monotonic() + _FORGET_EVERY_S
                    await self.forget()
            except Exception as error:  # noqa: BLE001 - tried again in a second
                logger.warning("Tasks could not be looked after: %s", error)

    async def _anything(self, since: datetime, now: datetime) -> bool:
        async with self._database.read() as session:
            return bool(await session.scalar(_ANYTHING, {"since": since, "now": now}))


Moment = datetime | BindParameter[datetime]


def _due(since: Moment, now: Moment) -> ColumnElement[bool]:
    """What was put off and may be leased since then; of the rest was told when it was ordered."""
    put_off = Task.available_at > Task.created_at
    return (Task.status == QUEUED) & (Task.available_at > since) & (Task.available_at <= now) & put_off


def _anything(since: Moment, now: Moment) -> Select[bool]:
    lost = exists().where(Task.status == LEASED, Task.lease_expires_at <= now)
    expired = exists().where(Task.status == QUEUED, Task.expires_at.is_not(None), Task.expires_at <= now)
    return select(lost | exists().where(_due(since, now)) | expired)


# Put together once: it is asked every second, and building it took longer than answering it.
_ANYTHING = _anything(bindparam("since"), bindparam("now"))


async def _expire(session: AsyncSession, record: Record) -> None:
    now = record.now
    late = select(Task).where(Task.status == QUEUED, Task.expires_at.is_not(None), Task.expires_at <= now)
    tasks = (
        await session.scalars(late.order_by(Task.expires_at).limit(_AT_ONCE).with_for_update(skip_locked=True))
    ).all()
    if not tasks:
        return
    places = await places_of(session, [task.device_id for task in tasks])
    for task in tasks:
        check_transition(task.status, "expired")
        reason = "Its time was over before a device took it."
        if task.attempts:
            reason = f"Its time was over after {task.attempts} attempts."
        task.status, task.reason, task.updated_at, task.ended_at = "expired", reason, now, now
        record.step(task, reason)
        record.tell(task, places[task.device_id])
