"""The queue as devices meet it: contexts, polls that wait, reports."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Conflict, RoostError
from roost.core.rates import RateLimiter
from roost.devices.identity import DeviceIdentity
from roost.tasks import leasing, reports
from roost.tasks.arrivals import Arrivals, Wait
from roost.tasks.groups import Groups
from roost.tasks.leasing import QUEUED, Poll
from roost.tasks.messages import Place, tell_due
from roost.tasks.models import Task, TaskContext
from roost.tasks.reports import Answer, Completion, Extension, Progressed, Report
from roost.tasks.schemas import (
    ContextBeat,
    LeasedTask,
    LeaseExtension,
    LeaseHeld,
    TaskCompleted,
    TaskCompletion,
    TaskProgress,
    check_size,
)

MOST_CONTEXTS = 32
# Polls that find nothing: so many at once, then so many a minute. Those that find something are free.
EMPTY_POLLS_AT_ONCE = 120
EMPTY_POLLS_A_MINUTE = 240
_TOO_OFTEN = "Nothing waits, and you ask too often; let the hub answer when there is something: poll with wait=60."

Gone = Callable[[], Awaitable[None]]


class Tasks:
    """Devices' side of the queue; what people do is in `orders`."""

    def __init__(self, database: Database, clock: Clock, bus: Bus) -> None:
        self._database = database
        self._clock = clock
        self.arrivals = Arrivals(bus)
        self.empty_polls = RateLimiter(clock, per_minute=EMPTY_POLLS_A_MINUTE, burst=EMPTY_POLLS_AT_ONCE)
        self._leases: Groups[Poll, list[LeasedTask]] = Groups(database, self._lease, "task-leases")
        self._reports: Groups[Report, Answer] = Groups(database, self._take, "task-reports")

    async def stop(self) -> None:
        self.arrivals.close()
        self.arrivals.stop()
        await self._leases.stop()
        await self._reports.stop()

    async def note_context(self, device: DeviceIdentity, beat: ContextBeat) -> TaskContext:
        """What a context can do from now on. Raises TooLarge, and Conflict for one context too many."""
        check_size(beat.capabilities, "Capabilities")
        check_size(beat.meta, "The meta of a context")
        now = self._clock.now()
        async with self._database.write() as session:
            context = await session.get(TaskContext, (device.device_id, beat.context_key), with_for_update=True)
            if context is None:
                known = select(func.count()).where(TaskContext.device_id == device.device_id)
                if (await session.scalar(known) or 0) >= MOST_CONTEXTS:
                    raise Conflict(f"A device may have {MOST_CONTEXTS} contexts.", code="too_many_contexts")
                context = TaskContext(device_id=device.device_id, context_key=beat.context_key, created_at=now)
                session.add(context)
            elif context.types != beat.types:
                tell_due(session, [device.device_id])
            context.types, context.capabilities, context.meta = beat.types, beat.capabilities, beat.meta
            context.seen_at = now
        return context

    async def pending(self, device_id: int) -> dict[str, int]:
        """How many tasks wait for the device: the port of the devices' heartbeat."""
        waiting = (Task.device_id == device_id) & (Task.status == QUEUED) & (Task.available_at <= self._clock.now())
        async with self._database.read() as session:
            return {"tasks": await session.scalar(select(func.count()).where(waiting)) or 0}

    async def poll(self, poll: Poll, wait_s: float = 0, gone: Gone | None = None) -> list[LeasedTask]:
        """Tasks for the device, as soon as there are some, at the latest after `wait_s`; none for one that is `gone`.

        Raises TooMany when it asks again and again for nothing.
        """
        deadline = self._clock.monotonic() + wait_s
        with self.arrivals.waiting(poll.device_id) as wait:
            while True:
                wait.arrived.clear()
                found = await self._leases.ask(poll)
                left_s = deadline - self._clock.monotonic()
                if found or left_s <= 0 or not await _arrived(wait, left_s, gone):
                    break
            if not found and not wait.over:
                self.empty_polls.check(str(poll.device_id), _TOO_OFTEN)
        return found

    async def hand_out(self, polls: Sequence[Poll]) -> list[list[LeasedTask]]:
        """What there is for each of these devices, which did not ask: they are connected."""
        return await asyncio.gather(*(self._leases.ask(poll) for poll in polls))

    async def held(self, device_ids: Collection[int], via: str) -> dict[int, list[LeasedTask]]:
        """What these devices hold that way already: after a reconnect they may not know any more."""
        held: dict[int, list[LeasedTask]] = {}
        async with self._database.read() as session:
            for task in await leasing.list_held(session, device_ids, via, self._clock.now()):
                held.setdefault(task.device_id, []).append(leasing.as_leased(task))
        return held

    async def complete(self, device: DeviceIdentity, task_id: int, said: TaskCompletion) -> TaskCompleted:
        """Done, or failed. Raises TooLarge, NotFound, Conflict for a lease that is not held (any more)."""
        check_size(said.result, "The result of a task")
        report = Completion(device.device_id, place_of(device), task_id, said.lease_token, said.status, said.result)
        answer = await self._reports.ask(report)
        assert isinstance(answer, TaskCompleted)  # noqa: S101 - a completion is answered with one
        return answer

    async def progress(self, device: DeviceIdentity, task_id: int, said: TaskProgress) -> LeaseHeld:
        """How far it is; the lease begins anew. Raises like `complete`."""
        report = Progressed(device.device_id, place_of(device), task_id, said.lease_token, said.percent, said.note)
        return await self._hold(report)

    async def extend(self, device: DeviceIdentity, task_id: int, said: LeaseExtension) -> LeaseHeld:
        """The lease begins anew, perhaps with another length. Raises like `complete`."""
        report = Extension(device.device_id, place_of(device), task_id, said.lease_token, said.lease_seconds)
        return await self._hold(report)

    async def _hold(self, report: Report) -> LeaseHeld:
        answer = await self._reports.ask(report)
        assert isinstance(answer, LeaseHeld)  # noqa: S101 - it is answered with one
        return answer

    async def _lease(self, session: AsyncSession, polls: Sequence[Poll]) -> Sequence[list[LeasedTask]]:
        return await leasing.lease(session, polls, self._clock.now())

    async def _take(self, session: AsyncSession, given: Sequence[Report]) -> Sequence[Answer | RoostError]:
        return await reports.take(session, given, self._clock.now())


def place_of(device: DeviceIdentity) -> Place:
    """Where the device stands."""
    return Place(device.organization_id, device.home_id)


async def _arrived(wait: Wait, patience_s: float, gone: Gone | None) -> bool:
    """Whether there may be something; False when the time is over, or nobody is to get anything any more."""
    if wait.over:
        return False
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(wait.arrived.wait())]
    if gone is not None:
        waiting.append(asyncio.ensure_future(gone()))
    try:
        done, _ = await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return done == {waiting[0]} and not wait.over
