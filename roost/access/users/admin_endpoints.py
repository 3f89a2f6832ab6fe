"""Every user of the hub, for administrators."""

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.access.users.endpoints import Role, Words
from roost.access.users.handling import change_user, entry, list_entries, make_user, remove_user
from roost.access.users.repository import UserFilter, get_person
from roost.access.users.schemas import AdminUserCreate, AdminUserUpdate, UserCreated, UserEntry
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

Administrator = Annotated[UserPrincipal, requires("admin", "users:read", "users:write")]

router = api_router("administration", prefix="/admin/users")


@router.get("", operation_id="admin_list_users", summary="List all users", responses=problem_responses(400, 401, 403))
async def admin_list_users(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Administrator,
    session: ReadSession,
    page: Page,
    q: Words = None,
    role: Role = None,
    organization_id: Annotated[RowId | None, Query()] = None,
    is_active: Annotated[bool | None, Query()] = None,
) -> list[UserEntry]:
    """Everybody, by id."""
    return await list_entries(principal, session, page, UserFilter(q, role, organization_id, is_active))


@router.post(
    "",
    operation_id="admin_create_user",
    status_code=201,
    summary="Make any user",
    response_model=UserCreated,
    responses=problem_responses(401, 403, 404, 409, 429),
)
async def admin_create_user(
    request: Request, principal: Administrator, idempotency: Idempotent, wanted: AdminUserCreate
) -> Any:
    """`staff` and `admin` count everywhere; the other roles in `organization_id`, or in the caller's only one."""
    return await make_user(request, principal, idempotency, wanted)


@router.get(
    "/{user_id}",
    operation_id="admin_read_user",
    summary="Read any user",
    responses=problem_responses(401, 403, 404),
)
async def admin_read_user(principal: Administrator, session: ReadSession, user_id: RowId) -> UserEntry:
    """One user with every role."""
    return entry(principal, await get_person(session, principal, user_id))


@router.patch(
    "/{user_id}",
    operation_id="admin_update_user",
    summary="Change any user",
    responses=problem_responses(401, 403, 404, 409),
)
async def admin_update_user(
    request: Request, principal: Administrator, user_id: RowId, wanted: AdminUserUpdate
) -> UserEntry:
    """`role` with `organization_id` counts there (null ends the membership); without, `staff`, `admin` or null counts
    everywhere, and another role in the only organization of the user. All of it takes effect at once.
    """
    return await change_user(request, principal, user_id, wanted)


@router.delete(
    "/{user_id}",
    operation_id="admin_delete_user",
    status_code=204,
    summary="Delete any user",
    responses=problem_responses(401, 403, 404, 409),
)
async def admin_delete_user(request: Request, principal: Administrator, session: WriteSession, user_id: RowId) -> None:
    """With everything that signs them in, at once; organizations that were theirs alone go too, if without devices."""
    await remove_user(request, principal, session, user_id)
