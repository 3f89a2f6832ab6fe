"""What people do with tasks: order one, order one of many devices, cancel."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.principals import UserPrincipal
from roost.core.errors import Conflict, Forbidden, Invalid
from roost.devices.repository import DeviceFilter, get_device, list_device_places
from roost.tasks.leasing import QUEUED, places_of
from roost.tasks.messages import Place, changed, tell_changed, tell_due
from roost.tasks.models import Task, TaskBulk
from roost.tasks.record import Record
from roost.tasks.repository import READ, WRITE, get_bulk, get_task, list_open_of_bulk
from roost.tasks.schemas import BulkCreate, TaskCreate, TaskOptions, check_size
from roost.tasks.states import ENDED, check_transition

MOST_QUEUED = 10_000
MOST_DEVICES = 20_000
_AT_ONCE = 1_000

CREATED = "task.created"
CANCELLED = "task.cancelled"
BULK_CREATED = "task.bulk_created"
BULK_CANCELLED = "task.bulk_cancelled"


class Ordered(NamedTuple):
    """A task, and whether it is new."""

    task: Task
    new: bool


async def order(
    session: AsyncSession, principal: UserPrincipal, device_id: int, wanted: TaskCreate, now: datetime
) -> Ordered:
    """A task for the device, or the one that it has with this idempotency key.

    Raises NotFound, Forbidden (403), Conflict when the device was released or its queue is full, TooLarge, Invalid.
    """
    check_size(wanted.payload, "The payload of a task")
    device = await get_device(session, principal, device_id, READ, lock=True)
    if not principal.can(WRITE, device.organization_id, device.home_id):
        raise Forbidden(f"You may look at the tasks of device {device_id}, but not give it any.", code="missing_scope")
    if wanted.idempotency_key is not None:
        known = (Task.device_id == device_id) & (Task.idempotency_key == wanted.idempotency_key)
        task = await session.scalar(select(Task).where(known))
        if task is not None:
            return Ordered(task, new=False)
    if device.claimed_at is None:
        raise Conflict("The device has been released; pair it again first.", code="not_claimed")
    _check_times(wanted, now)
    if await _full(session, [device_id]):
        raise Conflict(
            f"{MOST_QUEUED:,} tasks wait for this device already; cancel some of them first.", code="queue_full"
        )
    task = Task(
        device_id=device_id, type=wanted.type, payload=wanted.payload, created_by=principal.email, created_at=now,
        updated_at=now, status="queued", attempts=0, **_options(wanted, now),
        idempotency_key=wanted.idempotency_key,
    )  # fmt: skip
    session.add(task)
    await session.flush()
    place = Place(device.organization_id, device.home_id)
    details: dict[str, object] = {"task_type": task.type, "device_id": device_id, "device_name": device.name}
    _record(session, principal, _Deed(CREATED, place, "task", task.id, details))
    tell_changed(session, [changed(task, place, now)])
    return Ordered(task, new=True)


async def cancel(session: AsyncSession, principal: UserPrincipal, device_id: int, task_id: int, now: datetime) -> Task:
    """End the task now; a device that is at work on it is told. Raises NotFound, Forbidden, Conflict when it ended."""
    task = await get_task(session, principal, task_id, device_id=device_id, lock=True)
    place = (await places_of(session, [device_id]))[device_id]
    if not principal.can(WRITE, *place):
        raise Forbidden(f"You may look at task {task_id}, but not cancel it.", code="missing_scope")
    if task.status in ENDED:
        raise Conflict(f"Task {task_id} has ended: it is {task.status}.", code="task_ended")
    cancelling = Record(now)
    _cancel(cancelling, task, place, principal)
    await cancelling.write(session)
    details: dict[str, object] = {"task_type": task.type, "device_id": device_id}
    _record(session, principal, _Deed(CANCELLED, place, "task", task.id, details))
    return task


async def order_bulk(session: AsyncSession, principal: UserPrincipal, wanted: BulkCreate, now: datetime) -> TaskBulk:
    """The same task for every device of the query. Raises NotFound, Forbidden, Invalid, TooLarge."""
    check_size(wanted.payload, "The payload of a task")
    _check_times(wanted, now)
    asked = wanted.devices
    query = DeviceFilter(
        organization_id=asked.organization_id, home_id=asked.home_id, room_id=asked.room_id, status=asked.status,
        type=asked.type, tag=asked.tag, firmware_version=asked.firmware_version, claimed=True,
    )  # fmt: skip
    found = await list_device_places(
        session, principal, WRITE, query, device_ids=asked.device_ids, limit=MOST_DEVICES + 1
    )
    if not found:
        raise Invalid("No device that you may give tasks to fits this query.", code="no_devices")
    if len(found) > MOST_DEVICES:
        raise Invalid(f"More than {MOST_DEVICES:,} devices fit; ask for fewer at once.", code="too_many_devices")
    full = set[int]()
    for start in range(0, len(found), _AT_ONCE):
        full |= await _full(session, [device.id for device in found[start : start + _AT_ONCE]])
    reason = f"{MOST_QUEUED:,} tasks wait for it already."
    skipped = [
        {"device_id": one.id, "organization_id": one.organization_id, "home_id": one.home_id, "reason": reason}
        for one in found
        if one.id in full
    ]
    bulk = TaskBulk(
        type=wanted.type, payload=wanted.payload, skipped=skipped, created_by=principal.email, created_at=now
    )
    session.add(bulk)
    await session.flush()
    places = {device.id: Place(device.organization_id, device.home_id) for device in found if device.id not in full}
    options = _options(wanted, now)
    rows = [
        {
            "device_id": device_id, "bulk_id": bulk.id, "type": wanted.type, "payload": wanted.payload,
            "created_by": principal.email, "created_at": now, "updated_at": now, "status": "queued", "attempts": 0,
            **options,
        }
        for device_id in places
    ]  # fmt: skip
    for start in range(0, len(rows), _AT_ONCE):
        await session.execute(insert(Task), rows[start : start + _AT_ONCE])
    for organization_id in sorted({place.organization_id or 0 for place in places.values()}):
        count = sum(place.organization_id == organization_id for place in places.values())
        details: dict[str, object] = {"task_type": wanted.type, "devices": count}
        _record(session, principal, _Deed(BULK_CREATED, Place(organization_id, None), "bulk", bulk.id, details))
    tell_due(session, places)
    return bulk


async def cancel_bulk(session: AsyncSession, principal: UserPrincipal, bulk_id: int, now: datetime) -> TaskBulk:
    """Cancel what has not ended of it, within the caller's reach. Raises NotFound, Forbidden."""
    bulk = await get_bulk(session, principal, bulk_id)
    await get_bulk(session, principal, bulk_id, WRITE)
    task_ids = await list_open_of_bulk(session, principal, bulk_id, WRITE)
    organizations: dict[int, int] = {}
    for start in range(0, len(task_ids), _AT_ONCE):
        some = select(Task).where(Task.id.in_(task_ids[start : start + _AT_ONCE])).order_by(Task.id)
        tasks = [task for task in await session.scalars(some.with_for_update()) if task.status not in ENDED]
        places = await places_of(session, [task.device_id for task in tasks])
        cancelling = Record(now)
        for task in tasks:
            _cancel(cancelling, task, places[task.device_id], principal)
            owner = places[task.device_id].organization_id or 0
            organizations[owner] = organizations.get(owner, 0) + 1
        await cancelling.write(session)
    for organization_id, count in sorted(organizations.items()):
        details: dict[str, object] = {"task_type": bulk.type, "devices": count}
        _record(session, principal, _Deed(BULK_CANCELLED, Place(organization_id, None), "bulk", bulk_id, details))
    return bulk


def _options(wanted: TaskOptions, now: datetime) -> dict[str, object]:
    return {
        "context_key": wanted.execution_context_key,
        "rank": -wanted.priority,
        "max_attempts": wanted.max_attempts,
        "not_before": wanted.not_before,
        "expires_at": wanted.expires_at,
        "available_at": max(wanted.not_before or now, now),
    }


def _check_times(wanted: TaskOptions, now: datetime) -> None:
    if wanted.expires_at is not None and wanted.expires_at <= now:
        why = "It is past already, by the hub's clock."
        raise Invalid(f"expires_at: {why}", errors=[{"pointer": "/expires_at", "detail": why}])


async def _full(session: AsyncSession, device_ids: Collection[int]) -> set[int]:
    """Those of the devices for which as many tasks wait as may."""
    waiting = select(Task.device_id).where(Task.device_id.in_(device_ids), Task.status == QUEUED)
    query = waiting.group_by(Task.device_id).having(func.count() >= MOST_QUEUED)
    return set(await session.scalars(query))


def _cancel(record: Record, task: Task, place: Place, principal: UserPrincipal) -> None:
    check_transition(task.status, "cancelled")
    reason = f"Cancelled by {principal.email}."
    task.status, task.reason, task.updated_at, task.ended_at = "cancelled", reason, record.now, record.now
    task.lease_token = task.lease_expires_at = None
    record.step(task, reason)
    record.tell(task, place)


@dataclass(frozen=True, slots=True)
class _Deed:
    """What the audit log says of an order."""

    action: str
    place: Place
    kind: str
    object_id: int
    details: dict[str, object]


def _record(session: AsyncSession, principal: UserPrincipal, done: _Deed) -> None:
    deed = Deed(
        done.action, Actor.of(principal), organization_id=done.place.organization_id, object_kind=done.kind,
        object_id=done.object_id, details=done.details,
    )  # fmt: skip
    record(session, deed)
