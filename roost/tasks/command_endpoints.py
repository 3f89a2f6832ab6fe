"""Commands: the same queue under its second name."""

from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import WriteSession
from roost.core.errors import NotFound
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.dependencies import CurrentDevice, device_or_user
from roost.devices.identity import DeviceIdentity
from roost.devices.repository import get_device
from roost.tasks import orders
from roost.tasks.answers import command_read, leased_command
from roost.tasks.device_endpoints import DEFAULT_LEASE_S, Context, LeaseS, WaitS, until_gone
from roost.tasks.leasing import Poll
from roost.tasks.repository import READ, WRITE, TaskFilter, list_tasks
from roost.tasks.schemas import (
    DEFAULT_CONTEXT,
    CommandCompletion,
    CommandCreate,
    CommandRead,
    LeasedCommand,
    TaskCompleted,
)
from roost.tasks.service import Tasks, place_of
from roost.tasks.states import Status, clamped_lease_s

router = api_router("commands")

Caller = Annotated[DeviceIdentity | UserPrincipal, device_or_user(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
_MOST_LEASED = 100


@router.get("/devices/{device_id}/commands", responses=problem_responses(400, 401, 403, 404, 429))
async def read_commands(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    caller: Caller,
    page: Page,
    device_id: RowId,
    status: Annotated[Status | None, Query(description="Only these; for users.")] = None,
    context_key: Context = DEFAULT_CONTEXT,
    lease_seconds: LeaseS = DEFAULT_LEASE_S,
    wait: WaitS = 0,
) -> list[CommandRead] | list[LeasedCommand]:
    """A device leases what waits for it, at most 100 at once; a user sees all commands, newest first."""
    state = request.app.state
    if isinstance(caller, DeviceIdentity):
        _check_own(caller, device_id)
        tasks: Tasks = state.tasks
        limit, lease_s = min(page.limit, _MOST_LEASED), clamped_lease_s(lease_seconds)
        poll = Poll(caller.device_id, place_of(caller), context_key, limit, lease_s, "http")
        return [leased_command(task) for task in await tasks.poll(poll, wait, lambda: until_gone(request))]
    async with state.database.read() as session:
        await get_device(session, caller, device_id, READ)
        wanted = TaskFilter(device_id, status=status)
        found = await list_tasks(session, caller, wanted, before_id=page.after_id, limit=page.limit + 1)
    return [command_read(task) for task in page.cut(found, lambda task: task.id)]


@router.post(
    "/devices/{device_id}/commands",
    status_code=201,
    response_model=CommandRead,
    responses={
        200: {"model": CommandRead, "description": "The command that the device has with this idempotency_key."},
        **problem_responses(401, 403, 404, 409, 413),
    },
)
async def create_command(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    response: Response,
    principal: Writer,
    session: WriteSession,
    idempotency: Idempotent,
    device_id: RowId,
    wanted: CommandCreate,
) -> Response | CommandRead:
    """Queue a command for the device."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    ordered = await orders.order(session, principal, device_id, wanted.as_task(), request.app.state.clock.now())
    response.status_code = 201 if ordered.new else 200
    answer = command_read(ordered.task)
    await idempotency.remember(session, answer, status=response.status_code)
    return answer


@router.put("/devices/{device_id}/commands/{cmd_id}", responses=problem_responses(401, 404, 409, 413))
async def complete_command(
    request: Request,
    identity: CurrentDevice,
    device_id: RowId,
    cmd_id: RowId,
    said: CommandCompletion | None = None,
) -> TaskCompleted:
    """The device has executed the command, or failed to; an empty body says that it has."""
    _check_own(identity, device_id)
    tasks: Tasks = request.app.state.tasks
    return await tasks.complete(identity, cmd_id, (said or CommandCompletion()).as_task())


def _check_own(identity: DeviceIdentity, device_id: int) -> None:
    if identity.device_id != device_id:
        raise NotFound(
            f"This token belongs to device {identity.device_id}, not to {device_id}.", code="device_not_found"
        )
