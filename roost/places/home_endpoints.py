"""Homes over HTTP, and the same for the administrator."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page, PageRequest
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.places import homes
from roost.places.dependencies import Reader, Writer, devices_of
from roost.places.home_schemas import HomeCreate, HomeRead, HomeUpdate
from roost.places.repository import HomeRow, get_home, list_homes

Administrator = Annotated[UserPrincipal, requires("admin")]
OrganizationId = Annotated[RowId | None, Query(description="Only in this organization.")]
Words = Annotated[str | None, Query(min_length=1, max_length=120, description="Part of the name or the address.")]

router = api_router("homes")
admin_router = api_router("admin")


@router.get("/homes", operation_id="list_homes", summary="Homes", responses=problem_responses(400, 401, 403))
async def read_homes(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Reader,
    session: ReadSession,
    page: Page,
    organization_id: OrganizationId = None,
    q: Words = None,
) -> list[HomeRead]:
    """The homes within the caller's reach, by id, with how much is in each."""
    return await _list(request, principal, session, page, organization_id=organization_id, words=q)


@router.post(
    "/homes",
    operation_id="create_home",
    summary="Make a home",
    status_code=201,
    response_model=HomeRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_home(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, wanted: HomeCreate
) -> Response | HomeRead:
    """A new home. The organization may be left out by those who may make homes in just one."""
    return await _create(request, principal, session, idempotency, wanted)


@router.get("/homes/{home_id}", operation_id="get_home", summary="One home", responses=problem_responses(401, 403, 404))
async def read_home(request: Request, principal: Reader, session: ReadSession, home_id: RowId) -> HomeRead:
    """A home, with how much is in it."""
    return await _read(request, principal, session, home_id)


@router.patch(
    "/homes/{home_id}",
    operation_id="update_home",
    summary="Change a home",
    responses=problem_responses(401, 403, 404),
)
async def update_home(
    request: Request, principal: Writer, session: WriteSession, home_id: RowId, wanted: HomeUpdate
) -> HomeRead:
    """Change what is given, leave the rest."""
    return await _update(request, principal, session, home_id, wanted)


@router.delete(
    "/homes/{home_id}",
    operation_id="delete_home",
    summary="Delete a home",
    status_code=204,
    responses=problem_responses(401, 403, 404),
)
async def delete_home(request: Request, principal: Writer, session: WriteSession, home_id: RowId) -> None:
    """Remove the home with its rooms and residents. Its devices stay in the organization, its assignments end."""
    await _delete(request, principal, session, home_id)


@admin_router.get(
    "/admin/homes",
    operation_id="list_all_homes",
    summary="Homes of every organization",
    responses=problem_responses(400, 401, 403),
)
async def read_all_homes(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Administrator,
    session: ReadSession,
    page: Page,
    organization_id: OrganizationId = None,
    q: Words = None,
) -> list[HomeRead]:
    """Every home of the hub, by id, with how much is in each."""
    return await _list(request, principal, session, page, organization_id=organization_id, words=q)


@admin_router.post(
    "/admin/homes",
    operation_id="create_any_home",
    summary="Make a home in any organization",
    status_code=201,
    response_model=HomeRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_any_home(
    request: Request, principal: Administrator, session: WriteSession, idempotency: Idempotent, wanted: HomeCreate
) -> Response | HomeRead:
    """A new home; without an organization, in the administrator's own."""
    return await _create(request, principal, session, idempotency, wanted)


@admin_router.patch(
    "/admin/homes/{home_id}",
    operation_id="update_any_home",
    summary="Change any home",
    responses=problem_responses(401, 403, 404),
)
async def update_any_home(
    request: Request, principal: Administrator, session: WriteSession, home_id: RowId, wanted: HomeUpdate
) -> HomeRead:
    """Change what is given, leave the rest."""
    return await _update(request, principal, session, home_id, wanted)


@admin_router.delete(
    "/admin/homes/{home_id}",
    operation_id="delete_any_home",
    summary="Delete any home",
    status_code=204,
    responses=problem_responses(401, 403, 404),
)
async def delete_any_home(request: Request, principal: Administrator, session: WriteSession, home_id: RowId) -> None:
    """Remove the home with its rooms and residents. Its devices stay in the organization, its assignments end."""
    await _delete(request, principal, session, home_id)


async def _list(
    request: Request, principal: UserPrincipal, session: ReadSession, page: PageRequest,
    *, organization_id: int | None, words: str | None,
) -> list[HomeRead]:  # fmt: skip
    rows = await list_homes(
        session, principal,
        organization_id=organization_id, words=words, after_id=page.after_id, limit=page.limit + 1,
    )  # fmt: skip
    return await _homes_read(request, session, page.cut(rows, lambda row: row.home.id))


async def _create(
    request: Request, principal: UserPrincipal, session: WriteSession, idempotency: Idempotent, wanted: HomeCreate
) -> Response | HomeRead:
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    home = await homes.create(session, request.app.state.clock, principal, wanted)
    created = await _read(request, principal, session, home.id)
    await idempotency.remember(session, created)
    return created


async def _read(request: Request, principal: UserPrincipal, session: ReadSession, home_id: int) -> HomeRead:
    row = await get_home(session, principal, home_id)
    return (await _homes_read(request, session, [row]))[0]


async def _update(
    request: Request, principal: UserPrincipal, session: WriteSession, home_id: int, wanted: HomeUpdate
) -> HomeRead:
    home = await homes.get_for_change(session, principal, home_id)
    await homes.change(session, request.app.state.clock, principal, home, wanted)
    return await _read(request, principal, session, home_id)


async def _delete(request: Request, principal: UserPrincipal, session: WriteSession, home_id: int) -> None:
    home = await homes.get_for_change(session, principal, home_id)
    await homes.remove(session, request.app.state.clock, principal, devices_of(request), home)


async def _homes_read(request: Request, session: ReadSession, rows: Sequence[HomeRow]) -> list[HomeRead]:
    devices = await devices_of(request).count_in_homes(session, [row.home.id for row in rows])
    return [
        HomeRead(
            id=row.home.id,
            organization_id=row.home.organization_id,
            organization_name=row.organization_name,
            name=row.home.name,
            address=row.home.address,
            timezone=row.home.timezone,
            room_count=row.room_count,
            device_count=devices.get(row.home.id, 0),
            resident_count=row.resident_count,
            created_at=row.home.created_at,
            updated_at=row.home.updated_at,
        )
        for row in rows
    ]
