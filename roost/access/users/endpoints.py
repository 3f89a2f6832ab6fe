"""Users within the caller's reach."""

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.access.roles import RoleName
from roost.access.users.handling import change_user, entry, list_entries, make_user, remove_user
from roost.access.users.repository import READ, WRITE, UserFilter, get_person
from roost.access.users.schemas import UserCreate, UserCreated, UserEntry, UserUpdate
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
Words = Annotated[
    str | None, Query(min_length=1, max_length=120, description="Part of the username, full name or e-mail address.")
]
Role = Annotated[RoleName | None, Query(description="Those who have this role somewhere within the caller's reach.")]

router = api_router("users", prefix="/users")


@router.get("", operation_id="list_users", summary="List users", responses=problem_responses(400, 401, 403))
async def read_users(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Reader,
    session: ReadSession,
    page: Page,
    q: Words = None,
    role: Role = None,
    organization_id: Annotated[RowId | None, Query()] = None,
    is_active: Annotated[bool | None, Query()] = None,
) -> list[UserEntry]:
    """Those who belong to an organization in which the caller may read users, by id."""
    return await list_entries(principal, session, page, UserFilter(q, role, organization_id, is_active))


@router.post(
    "",
    operation_id="create_user",
    status_code=201,
    summary="Make a user",
    response_model=UserCreated,
    responses=problem_responses(401, 403, 404, 409, 429),
)
async def create_user(request: Request, principal: Writer, idempotency: Idempotent, wanted: UserCreate) -> Any:
    """With a role in an organization of the caller's. Without a password, the answer says where to choose one."""
    return await make_user(request, principal, idempotency, wanted)


@router.get("/{user_id}", operation_id="read_user", summary="Read a user", responses=problem_responses(401, 403, 404))
async def read_user(principal: Reader, session: ReadSession, user_id: RowId) -> UserEntry:
    """One user, with what the caller may know of their roles."""
    return entry(principal, await get_person(session, principal, user_id))


@router.patch(
    "/{user_id}", operation_id="update_user", summary="Change a user", responses=problem_responses(401, 403, 404, 409)
)
async def update_user(request: Request, principal: Writer, user_id: RowId, wanted: UserUpdate) -> UserEntry:
    """By somebody who stands at least as high as the user, everywhere. Roles are changed where they count:
    `PATCH /organizations/{id}/members/{user_id}`.
    """
    return await change_user(request, principal, user_id, wanted)


@router.delete(
    "/{user_id}",
    operation_id="delete_user",
    status_code=204,
    summary="Delete a user",
    responses=problem_responses(401, 403, 404, 409),
)
async def delete_user(request: Request, principal: Writer, session: WriteSession, user_id: RowId) -> None:
    """With everything that signs them in, at once; organizations that were theirs alone go too, if without devices."""
    await remove_user(request, principal, session, user_id)
