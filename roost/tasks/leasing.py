"""Handing tasks out: for many polls at once, in the one transaction that makes each of them somebody's.

On PostgreSQL the rows are locked as they are chosen, those of others skipped; SQLite has one writer at a time.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, literal_column, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from roost.devices.models import Device
from roost.tasks.messages import Place
from roost.tasks.models import Task, TaskContext
from roost.tasks.record import Record
from roost.tasks.schemas import LeasedTask
from roost.tasks.states import Status, after_lost_lease, check_transition

_TOKEN_BYTES = 12
# As a literal: a partial index is used only where its condition stands in the statement.
QUEUED: ColumnElement[Status] = literal_column("'queued'")
LEASED: ColumnElement[Status] = literal_column("'leased'")


@dataclass(frozen=True, slots=True)
class Poll:
    """A device asks for work. `lease_s` is within its limits; `via` is http or mqtt; `place` None: look it up."""

    device_id: int
    place: Place | None
    context_key: str
    limit: int
    lease_s: int
    via: str


_Kind = tuple[str, tuple[str, ...] | None, int, int, str]


async def lease(session: AsyncSession, polls: Sequence[Poll], now: datetime) -> list[list[LeasedTask]]:
    """What each poll gets, most urgent first; nobody else gets it for the length of the lease."""
    record = Record(now)
    places = {poll.device_id: poll.place for poll in polls if poll.place is not None}
    unknown = {poll.device_id for poll in polls} - places.keys()
    if unknown:
        places |= await places_of(session, unknown)
    await take_back(session, record)
    types = await _types(session, polls)
    answers: list[list[LeasedTask]] = [[] for _ in polls]
    left = list(enumerate(polls))
    while left:
        # One poll of a device after the other: what the first one takes, the second one must not see.
        first: dict[int, tuple[int, Poll]] = {}
        for number, poll in left:
            first.setdefault(poll.device_id, (number, poll))
        left = [entry for entry in left if first[entry[1].device_id] != entry]
        for (context_key, able, limit, _, _), entries in _alike(first.values(), types).items():
            asked = {poll.device_id: (number, poll) for number, poll in entries}
            for task in await _lock_waiting(session, list(asked), takeable(now, context_key, able), limit):
                number, poll = asked[task.device_id]
                answers[number].append(_hand_out(record, task, poll))
                record.tell(task, places[task.device_id])
            await session.flush()
    await record.write(session)
    return answers


def _alike(
    polls: Iterable[tuple[int, Poll]], types: dict[tuple[int, str], list[str] | None]
) -> dict[_Kind, list[tuple[int, Poll]]]:
    """Polls that one question answers."""
    alike: dict[_Kind, list[tuple[int, Poll]]] = {}
    for number, poll in polls:
        takes = types.get((poll.device_id, poll.context_key))
        kind = (poll.context_key, None if takes is None else tuple(takes), poll.limit, poll.lease_s, poll.via)
        alike.setdefault(kind, []).append((number, poll))
    return alike


def takeable(now: datetime, context_key: str, types: Collection[str] | None) -> ColumnElement[bool]:
    """What a context may lease now."""
    able = true() if types is None else Task.type.in_(types)
    for_it = or_(Task.context_key.is_(None), Task.context_key == context_key)
    in_time = or_(Task.expires_at.is_(None), Task.expires_at > now)
    wanted: ColumnElement[bool] = (Task.status == QUEUED) & (Task.available_at <= now) & in_time & for_it & able
    return wanted


async def take_back(session: AsyncSession, record: Record, *, limit: int = 1000) -> None:
    """Put back what somebody has lost the lease of, whoever it is: that finds it by its index, and all want it done."""
    lost = select(Task).where(Task.status == LEASED, Task.lease_expires_at <= record.now)
    # In the order of the index: by id, SQLite would go through all tasks there ever were.
    lost = lost.order_by(Task.lease_expires_at).limit(limit)
    tasks = (await session.scalars(lost.with_for_update(skip_locked=True))).all()
    if not tasks:
        return
    places = await places_of(session, [task.device_id for task in tasks])
    for task in tasks:
        _take_back(record, task)
        record.tell(task, places[task.device_id])
    await session.flush()


def _take_back(record: Record, task: Task) -> None:
    now = record.now
    status = after_lost_lease(task.attempts, task.max_attempts, task.expires_at, now)
    check_transition(task.status, status)
    heard = f"Nothing was heard for {task.lease_s} s after attempt {task.attempts}"
    said = {
        "queued": f"{heard}; it is tried again.",
        "failed": f"{heard}, which was the last one.",
        "expired": f"{heard}, and its time is over.",
    }
    task.status, task.reason, task.updated_at = status, said[status], now
    task.lease_token = task.lease_expires_at = None
    if status == "queued":
        task.available_at = now
    else:
        task.ended_at = now
    record.step(task, said[status])


def _hand_out(record: Record, task: Task, poll: Poll) -> LeasedTask:
    now = record.now
    check_transition(task.status, "leased")
    task.status, task.attempts, task.updated_at = "leased", task.attempts + 1, now
    task.lease_token = secrets.token_urlsafe(_TOKEN_BYTES)
    task.lease_s, task.lease_expires_at = poll.lease_s, now + timedelta(seconds=poll.lease_s)
    task.leased_by, task.leased_via, task.reason = poll.context_key, poll.via, None
    task.progress_percent = task.progress_note = task.progress_at = None
    record.step(task, f"Taken by context {poll.context_key} over {poll.via.upper()} for {poll.lease_s} s.")
    return as_leased(task)


def as_leased(task: Task) -> LeasedTask:
    """A leased task as its device gets it."""
    assert task.lease_token is not None and task.lease_s is not None  # noqa: PT018, S101 - it is leased
    assert task.lease_expires_at is not None  # noqa: S101 - likewise
    return LeasedTask(
        id=task.id,
        type=task.type,
        payload=task.payload,
        execution_context_key=task.context_key,
        priority=task.priority,
        attempt=task.attempts,
        max_attempts=task.max_attempts,
        lease_token=task.lease_token,
        lease_seconds=task.lease_s,
        lease_expires_at=task.lease_expires_at,
        expires_at=task.expires_at,
        created_at=task.created_at,
    )


async def list_held(session: AsyncSession, device_ids: Collection[int], via: str, now: datetime) -> Sequence[Task]:
    """What these devices have leased that way and still hold, in the order of leasing."""
    held = (Task.status == LEASED) & (Task.lease_expires_at > now) & (Task.leased_via == via)
    query = select(Task).where(Task.device_id.in_(device_ids), held).order_by(Task.device_id, Task.rank, Task.id)
    return (await session.scalars(query)).all()


async def places_of(session: AsyncSession, device_ids: Collection[int]) -> dict[int, Place]:
    """Where these devices stand."""
    query = select(Device.id, Device.organization_id, Device.home_id).where(Device.id.in_(sorted(set(device_ids))))
    return {row.id: Place(row.organization_id, row.home_id) for row in await session.execute(query)}


async def _types(session: AsyncSession, polls: Sequence[Poll]) -> dict[tuple[int, str], list[str] | None]:
    """What the polling contexts can do; those that never said so are missing, and take everything."""
    keys = sorted({(poll.device_id, poll.context_key) for poll in polls})
    place = tuple_(TaskContext.device_id, TaskContext.context_key)
    query = select(TaskContext.device_id, TaskContext.context_key, TaskContext.types).where(place.in_(keys))
    return {(device_id, context_key): types for device_id, context_key, types in await session.execute(query)}


async def _lock_waiting(
    session: AsyncSession, device_ids: Sequence[int], wanted: ColumnElement[bool], limit: int
) -> Sequence[Task]:
    """At most `limit` tasks of each device, most urgent first."""
    if len(device_ids) == 1:
        own = select(Task).where(Task.device_id == device_ids[0], wanted).order_by(Task.rank, Task.id).limit(limit)
        return (await session.scalars(own.with_for_update(skip_locked=True))).all()
    chosen = select(Task.id).where(wanted).order_by(Task.rank, Task.id).limit(limit)
    query: Select[Any]
    if session.get_bind().dialect.name == "postgresql":
        devices = func.unnest(cast(device_ids, ARRAY(BigInteger))).table_valued("id", name="asked").render_derived()
        of_one = chosen.where(Task.device_id == devices.c.id).with_for_update(skip_locked=True).lateral()
        query = select(of_one.c.id).select_from(devices).join(of_one, true())
    else:
        devices = func.json_each(json.dumps(device_ids)).table_valued("value", name="asked")
        outer = aliased(Task)
        theirs = chosen.where(Task.device_id == devices.c.value).correlate(devices)
        query = select(outer.id).select_from(devices).join(outer, outer.id.in_(theirs))
    ids = (await session.scalars(query)).all()
    if not ids:
        return ()
    locked = select(Task).where(Task.id.in_(ids)).order_by(Task.device_id, Task.rank, Task.id)
    return (await session.scalars(locked)).all()
