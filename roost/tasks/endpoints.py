"""Tasks for users: order, list, look at, cancel."""

from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router, gather
from roost.devices.repository import get_device
from roost.tasks import bulk_endpoints, command_endpoints, device_endpoints, orders
from roost.tasks.answers import first_step, step_read, task_read
from roost.tasks.repository import READ, WRITE, TaskFilter, get_task, list_contexts, list_steps, list_tasks
from roost.tasks.schemas import TaskContextRead, TaskCreate, TaskDetail, TaskRead
from roost.tasks.states import Status

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
OfStatus = Annotated[Status | None, Query(description="Only these.")]
OfType = Annotated[str | None, Query(min_length=1, max_length=100)]

_tasks = api_router("tasks")


@_tasks.get("/tasks", responses=problem_responses(400, 401, 403))
async def read_tasks(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Reader,
    session: ReadSession,
    page: Page,
    device_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    status: OfStatus = None,
    type: OfType = None,  # noqa: A002 - the name of the query parameter
    bulk_id: Annotated[RowId | None, Query()] = None,
) -> list[TaskRead]:
    """Tasks of all devices within the caller's reach, newest first."""
    wanted = TaskFilter(device_id, home_id, status, type, bulk_id)
    found = await list_tasks(session, principal, wanted, before_id=page.after_id, limit=page.limit + 1)
    return [task_read(task) for task in page.cut(found, lambda task: task.id)]


@_tasks.get("/tasks/{task_id}", responses=problem_responses(401, 403, 404))
async def read_task(principal: Reader, session: ReadSession, task_id: RowId) -> TaskDetail:
    """One task, with all that happened to it."""
    task = await get_task(session, principal, task_id)
    steps = [first_step(task), *(step_read(step) for step in await list_steps(session, task_id))]
    return TaskDetail(**task_read(task).model_dump(), steps=steps)


@_tasks.get("/devices/{device_id}/tasks", responses=problem_responses(400, 401, 403, 404))
async def read_device_tasks(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Reader,
    session: ReadSession,
    page: Page,
    device_id: RowId,
    status: OfStatus = None,
    type: OfType = None,  # noqa: A002 - the name of the query parameter
) -> list[TaskRead]:
    """The tasks of one device, newest first."""
    await get_device(session, principal, device_id, READ)
    wanted = TaskFilter(device_id, None, status, type)
    found = await list_tasks(session, principal, wanted, before_id=page.after_id, limit=page.limit + 1)
    return [task_read(task) for task in page.cut(found, lambda task: task.id)]


@_tasks.post(
    "/devices/{device_id}/tasks",
    status_code=201,
    response_model=TaskRead,
    responses={
        200: {"model": TaskRead, "description": "The task that the device has with this idempotency_key."},
        **problem_responses(401, 403, 404, 409, 413),
    },
)
async def create_task(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    response: Response,
    principal: Writer,
    session: WriteSession,
    idempotency: Idempotent,
    device_id: RowId,
    wanted: TaskCreate,
) -> Response | TaskRead:
    """Queue a task for the device."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    ordered = await orders.order(session, principal, device_id, wanted, request.app.state.clock.now())
    response.status_code = 201 if ordered.new else 200
    answer = task_read(ordered.task)
    await idempotency.remember(session, answer, status=response.status_code)
    return answer


@_tasks.post("/devices/{device_id}/tasks/{task_id}/cancel", responses=problem_responses(401, 403, 404, 409))
async def cancel_task(
    request: Request, principal: Writer, session: WriteSession, device_id: RowId, task_id: RowId
) -> TaskRead:
    """End the task now. A device that is at work on it is told: over MQTT at once, over HTTP with its next report."""
    return task_read(await orders.cancel(session, principal, device_id, task_id, request.app.state.clock.now()))


@_tasks.get("/devices/{device_id}/task-contexts", responses=problem_responses(401, 403, 404))
async def read_task_contexts(principal: Reader, session: ReadSession, device_id: RowId) -> list[TaskContextRead]:
    """What takes tasks on this device, and which; at most 32."""
    await get_device(session, principal, device_id, READ)
    return [
        TaskContextRead(
            device_id=context.device_id,
            context_key=context.context_key,
            capabilities=context.capabilities,
            meta=context.meta,
            seen_at=context.seen_at,
            created_at=context.created_at,
        )
        for context in await list_contexts(session, device_id)
    ]


# Tasks last, because /tasks/bulk must not be taken for an id.
router = gather([bulk_endpoints.router, device_endpoints.router, command_endpoints.router, _tasks])
