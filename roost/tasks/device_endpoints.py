"""What devices ask of the queue."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from roost.core.ids import RowId
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.dependencies import CurrentDevice
from roost.tasks.leasing import Poll
from roost.tasks.schemas import (
    DEFAULT_CONTEXT,
    ContextBeat,
    ContextBeatOut,
    ContextKey,
    LeasedTask,
    LeaseExtension,
    LeaseHeld,
    TaskCompleted,
    TaskCompletion,
    TaskProgress,
)
from roost.tasks.service import Tasks, place_of
from roost.tasks.states import clamped_lease_s

router = api_router("tasks")

DEFAULT_LEASE_S = 60
Context = Annotated[ContextKey, Query(description="Which part of the device asks.")]
LeaseS = Annotated[int, Query(ge=0, le=86_400, description="Clamped to 5..600.")]
WaitS = Annotated[int, Query(ge=0, le=60, description="Seconds to wait for something when nothing is there.")]


@router.post("/tasks/context/heartbeat", responses=problem_responses(401, 409))
async def send_context_heartbeat(request: Request, identity: CurrentDevice, beat: ContextBeat) -> ContextBeatOut:
    """A context of the device is there, and can do this; 409 for more than 32 of them."""
    tasks: Tasks = request.app.state.tasks
    context = await tasks.note_context(identity, beat)
    return ContextBeatOut(
        device_id=identity.device_id,
        context_key=context.context_key,
        seen_at=context.seen_at,
        server_time=request.app.state.clock.now(),
        pending=await tasks.pending(identity.device_id),
    )


@router.post("/tasks/poll", responses=problem_responses(401, 429))
async def poll_tasks(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    identity: CurrentDevice,
    limit: Annotated[int, Query(ge=1, le=100, description="At most this many tasks.")] = 1,
    context_key: Context = DEFAULT_CONTEXT,
    lease_seconds: LeaseS = DEFAULT_LEASE_S,
    wait: WaitS = 0,
) -> list[LeasedTask]:
    """Lease tasks, the most urgent first. What is not completed within its lease goes back into the queue."""
    tasks: Tasks = request.app.state.tasks
    lease_s = clamped_lease_s(lease_seconds)
    poll = Poll(identity.device_id, place_of(identity), context_key, limit, lease_s, "http")
    return await tasks.poll(poll, wait, lambda: until_gone(request))


@router.post("/tasks/{task_id}/complete", responses=problem_responses(401, 404, 409, 413))
async def complete_task(
    request: Request, identity: CurrentDevice, task_id: RowId, said: TaskCompletion
) -> TaskCompleted:
    """The task is done, or failed. The same report again gets the first answer; 409 when the lease is not held."""
    tasks: Tasks = request.app.state.tasks
    return await tasks.complete(identity, task_id, said)


@router.post("/tasks/{task_id}/progress", responses=problem_responses(401, 404, 409))
async def report_task_progress(
    request: Request, identity: CurrentDevice, task_id: RowId, said: TaskProgress
) -> LeaseHeld:
    """How far the task is; its lease begins anew. 409 `task_cancelled` says to stop."""
    tasks: Tasks = request.app.state.tasks
    return await tasks.progress(identity, task_id, said)


@router.post("/tasks/{task_id}/extend", responses=problem_responses(401, 404, 409))
async def extend_task_lease(
    request: Request, identity: CurrentDevice, task_id: RowId, said: LeaseExtension | None = None
) -> LeaseHeld:
    """More time for the task. 409 `task_cancelled` says to stop."""
    tasks: Tasks = request.app.state.tasks
    return await tasks.extend(identity, task_id, said or LeaseExtension())


async def until_gone(request: Request) -> None:
    """Return when the client has left, or has sent what it should not."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
