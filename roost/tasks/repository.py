"""All that users read of tasks; every read starts from what the caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.principals import UserPrincipal, visible_to
from roost.core.errors import NotFound
from roost.devices.models import Device
from roost.tasks.models import Task, TaskBulk, TaskContext, TaskStep
from roost.tasks.states import Status

READ, WRITE = "tasks:read", "tasks:write"
_MOST_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted; None = any."""

    device_id: int | None = None
    home_id: int | None = None
    status: Status | None = None
    type: str | None = None
    bulk_id: int | None = None


def _visible(principal: UserPrincipal, scope: str) -> Select[Task]:
    reach = visible_to(principal, scope, organization=Device.organization_id, home=Device.home_id)
    return select(Task).join(Device, Device.id == Task.device_id).where(Device.organization_id.is_not(None), reach)


async def list_tasks(
    session: AsyncSession, principal: UserPrincipal, wanted: TaskFilter, *, before_id: int, limit: int
) -> Sequence[Task]:
    """At most `limit` tasks, newest first; `before_id` 0 begins."""
    query = _visible(principal, READ)
    if wanted.device_id is not None:
        query = query.where(Task.device_id == wanted.device_id)
    if wanted.home_id is not None:
        query = query.where(Device.home_id == wanted.home_id)
    if wanted.status is not None:
        query = query.where(Task.status == wanted.status)
    if wanted.type is not None:
        query = query.where(Task.type == wanted.type)
    if wanted.bulk_id is not None:
        query = query.where(Task.bulk_id == wanted.bulk_id)
    if before_id:
        query = query.where(Task.id < before_id)
    return (await session.scalars(query.order_by(Task.id.desc()).limit(limit))).all()


async def get_task(
    session: AsyncSession, principal: UserPrincipal, task_id: int, scope: str = READ, *,
    device_id: int | None = None, lock: bool = False,
) -> Task:  # fmt: skip
    """The task, of this device if one is named; raises NotFound for what the caller may not see with this scope."""
    query = _visible(principal, scope).where(Task.id == task_id)
    if device_id is not None:
        query = query.where(Task.device_id == device_id)
    task = await session.scalar(query.with_for_update(of=Task) if lock else query)
    if task is None:
        raise NotFound(f"There is no task {task_id}.", code="task_not_found")
    return task


async def list_steps(session: AsyncSession, task_id: int) -> Sequence[TaskStep]:
    """What happened to a task, in order."""
    return (await session.scalars(select(TaskStep).where(TaskStep.task_id == task_id).order_by(TaskStep.id))).all()


async def list_contexts(session: AsyncSession, device_id: int) -> Sequence[TaskContext]:
    """The contexts that the device has made known, by key."""
    query = select(TaskContext).where(TaskContext.device_id == device_id).order_by(TaskContext.context_key)
    return (await session.scalars(query)).all()


async def list_bulks(
    session: AsyncSession, principal: UserPrincipal, *, before_id: int, limit: int
) -> Sequence[TaskBulk]:
    """Those of which the caller may see a task, newest first; `before_id` 0 begins."""
    seen = _visible(principal, READ).where(Task.bulk_id == TaskBulk.id).correlate(TaskBulk)
    query = select(TaskBulk).where(seen.exists()).order_by(TaskBulk.id.desc()).limit(limit)
    if before_id:
        query = query.where(TaskBulk.id < before_id)
    return (await session.scalars(query)).all()


async def get_bulk(session: AsyncSession, principal: UserPrincipal, bulk_id: int, scope: str = READ) -> TaskBulk:
    """Raises NotFound for one of which the caller may see no task with this scope."""
    seen = _visible(principal, scope).where(Task.bulk_id == TaskBulk.id).correlate(TaskBulk)
    bulk = await session.scalar(select(TaskBulk).where(TaskBulk.id == bulk_id, seen.exists()))
    if bulk is None:
        raise NotFound(f"There is no bulk task {bulk_id}.", code="bulk_not_found")
    return bulk


async def count_bulks(
    session: AsyncSession, principal: UserPrincipal, bulk_ids: Sequence[int]
) -> Sequence[tuple[int, Status, int]]:
    """Bulk, status, and how many of the tasks that the caller may see have it."""
    columns = Task.bulk_id, Task.status, func.count()
    query = _visible(principal, READ).where(Task.bulk_id.in_(bulk_ids)).with_only_columns(*columns)
    rows = await session.execute(query.group_by(Task.bulk_id, Task.status))
    return [(bulk_id, status, count) for bulk_id, status, count in rows if bulk_id is not None]


async def list_failures(
    session: AsyncSession, principal: UserPrincipal, bulk_ids: Sequence[int]
) -> Sequence[tuple[int, Status, str | None, int]]:
    """Bulk, status, why, and how often: of the tasks that ended otherwise than done, the most frequent first."""
    count = func.count()
    not_done = Task.bulk_id.in_(bulk_ids) & Task.ended_at.is_not(None) & (Task.status != "done")
    why = Task.bulk_id, Task.status, Task.reason
    query = _visible(principal, READ).where(not_done).with_only_columns(*why, count).group_by(*why)
    rows = await session.execute(query.order_by(count.desc(), Task.reason).limit(_MOST_FAILURES))
    return [(bulk_id, status, reason, times) for bulk_id, status, reason, times in rows if bulk_id is not None]


async def list_open_of_bulk(session: AsyncSession, principal: UserPrincipal, bulk_id: int, scope: str) -> Sequence[int]:
    """The ids of its tasks within reach that have not ended, in order."""
    query = _visible(principal, scope).where(Task.bulk_id == bulk_id, Task.ended_at.is_(None))
    return (await session.scalars(query.with_only_columns(Task.id).order_by(Task.id))).all()
