"""Organizations and their members. Whoever belongs to one sees it; the rest is decided by the role in it."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from roost.access.audit.log import Actor
from roost.access.dependencies import CurrentUser, SignedInUser, ensure_signed_in, requires
from roost.access.models import Organization
from roost.access.organizations import service
from roost.access.organizations.members import Roster
from roost.access.organizations.repository import (
    Member,
    count_members,
    get_organization,
    get_organization_with,
    list_members,
    list_organizations,
)
from roost.access.organizations.schemas import (
    MemberRead,
    MemberRole,
    MemberUpdate,
    OrganizationCreate,
    OrganizationRead,
    OrganizationUpdate,
)
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

Renamer = Annotated[UserPrincipal, requires("organization:write")]
MemberReader = Annotated[UserPrincipal, requires("users:read")]
MemberWriter = Annotated[UserPrincipal, requires("users:write")]
Words = Annotated[str | None, Query(min_length=1, max_length=120, description="Part of the name.")]

router = api_router("organizations")


@router.get(
    "/organizations",
    operation_id="list_organizations",
    summary="List your organizations",
    responses=problem_responses(400, 401),
)
async def read_organizations(
    principal: CurrentUser, session: ReadSession, page: Page, q: Words = None
) -> list[OrganizationRead]:
    """Those that the caller belongs to, and everybody's for those whose reach is everywhere; by id."""
    found = await list_organizations(session, principal, words=q, after_id=page.after_id, limit=page.limit + 1)
    shown = page.cut(found, lambda organization: organization.id)
    counts = await count_members(session, [one.id for one in shown])
    return [_read(principal, one, counts.get(one.id, 0)) for one in shown]


@router.post(
    "/organizations",
    operation_id="create_organization",
    status_code=201,
    summary="Make an organization",
    response_model=OrganizationRead,
    responses=problem_responses(401, 403, 409),
)
async def create_organization(
    request: Request,
    principal: SignedInUser,
    session: WriteSession,
    idempotency: Idempotent,
    wanted: OrganizationCreate,
) -> Any:
    """The caller becomes its owner."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    organization = await service.found(session, request.app.state.clock, principal, wanted.name)
    answer = _read(principal, organization, 1, role="owner")
    await idempotency.remember(session, answer)
    return answer


@router.get(
    "/organizations/{organization_id}",
    operation_id="read_organization",
    summary="Read an organization",
    responses=problem_responses(401, 404),
)
async def read_organization(principal: CurrentUser, session: ReadSession, organization_id: RowId) -> OrganizationRead:
    """One organization."""
    organization = await get_organization(session, principal, organization_id)
    return _read(principal, organization, (await count_members(session, [organization_id])).get(organization_id, 0))


@router.patch(
    "/organizations/{organization_id}",
    operation_id="update_organization",
    summary="Rename an organization",
    responses=problem_responses(401, 403, 404),
)
async def update_organization(
    request: Request,
    principal: Renamer,
    session: WriteSession,
    organization_id: RowId,
    wanted: OrganizationUpdate,
) -> OrganizationRead:
    """Change what is given, leave the rest."""
    organization = await get_organization_with(session, principal, organization_id, "organization:write", lock=True)
    if wanted.name is not None and wanted.name != organization.name:
        service.rename(session, request.app.state.clock, principal, organization, wanted.name)
    return _read(principal, organization, (await count_members(session, [organization_id])).get(organization_id, 0))


@router.delete(
    "/organizations/{organization_id}",
    operation_id="delete_organization",
    status_code=204,
    summary="Delete an organization",
    responses=problem_responses(401, 403, 404),
)
async def delete_organization(
    request: Request, principal: Renamer, session: WriteSession, organization_id: RowId
) -> None:
    """Remove it with its homes, its devices and everything they have sent. Its members stay users."""
    organization = await get_organization_with(session, principal, organization_id, "organization:write", lock=True)
    await service.dissolve(session, request.app.state.belongings, Actor.of(principal), organization)


@router.post(
    "/organizations/{organization_id}/leave",
    operation_id="leave_organization",
    status_code=204,
    summary="Leave an organization",
    responses=problem_responses(401, 403, 404, 409),
)
async def leave_organization(
    request: Request, principal: SignedInUser, session: WriteSession, organization_id: RowId
) -> None:
    """End one's own membership. The last owner cannot (409)."""
    await get_organization(session, principal, organization_id, lock=True)
    await _roster(request, session, principal, organization_id).leave()


@router.get(
    "/organizations/{organization_id}/members",
    operation_id="list_members",
    summary="List members",
    responses=problem_responses(400, 401, 403, 404),
)
async def read_members(
    principal: MemberReader,
    session: ReadSession,
    page: Page,
    organization_id: RowId,
    role: Annotated[MemberRole | None, Query()] = None,
) -> list[MemberRead]:
    """Who belongs to the organization, by user id."""
    await get_organization_with(session, principal, organization_id, "users:read")
    found = await list_members(session, organization_id, role=role, after_id=page.after_id, limit=page.limit + 1)
    return [_member(principal, member) for member in page.cut(found, lambda member: member.user.id)]


@router.patch(
    "/organizations/{organization_id}/members/{user_id}",
    operation_id="update_member",
    summary="Change a member's role",
    responses=problem_responses(401, 403, 404, 409),
)
async def update_member(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: MemberWriter,
    session: WriteSession,
    organization_id: RowId,
    user_id: RowId,
    wanted: MemberUpdate,
) -> MemberRead:
    """Takes effect at once, on open connections too. The last owner stays one (409)."""
    await get_organization_with(session, principal, organization_id, "users:write", lock=True)
    roster = _roster(request, session, principal, organization_id)
    member = await roster.change_role(user_id, wanted.role, wanted.home_ids)
    return _member(principal, member)


@router.delete(
    "/organizations/{organization_id}/members/{user_id}",
    operation_id="remove_member",
    status_code=204,
    summary="Remove a member",
    responses=problem_responses(401, 403, 404, 409),
)
async def remove_member(
    request: Request, principal: MemberWriter, session: WriteSession, organization_id: RowId, user_id: RowId
) -> None:
    """End a membership at once; the user stays. The last owner cannot be removed (409)."""
    await get_organization_with(session, principal, organization_id, "users:write", lock=True)
    if user_id == principal.user_id:
        ensure_signed_in(principal)
    await _roster(request, session, principal, organization_id).remove(user_id)


def _roster(request: Request, session: AsyncSession, principal: UserPrincipal, organization_id: int) -> Roster:
    state = request.app.state
    return Roster(session, state.clock, state.belongings, principal, organization_id)


def _read(
    principal: UserPrincipal, organization: Organization, member_count: int, *, role: str | None = None
) -> OrganizationRead:
    may_count = role is not None or principal.can("users:read", organization.id)
    return OrganizationRead(
        id=organization.id,
        name=organization.name,
        role=role or _role_in(principal, organization.id),
        member_count=member_count if may_count else None,
        created_at=organization.created_at,
        updated_at=organization.updated_at,
    )


def _role_in(principal: UserPrincipal, organization_id: int) -> str | None:
    own = [grant for grant in principal.grants if grant.organization_id == organization_id]
    return next((grant.role for grant in own if grant.home_id is None), own[0].role if own else None)


def _member(principal: UserPrincipal, member: Member) -> MemberRead:
    user = member.user
    return MemberRead(
        user_id=user.id,
        username=user.username,
        email=user.email,
        full_name=user.full_name,
        is_active=user.is_active,
        role=member.role,
        home_ids=member.home_ids,
        manageable=principal.has("users:write") and principal.manages(member.as_granted),
        joined_at=min(row.created_at for row in member.grants),
    )
