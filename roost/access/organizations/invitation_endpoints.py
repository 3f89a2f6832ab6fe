"""Invitations: sent and taken back by members, looked at and accepted by whoever holds the link."""

from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from roost.access.dependencies import bearer, ensure_signed_in, identify_user, requires
from roost.access.organizations import invitations
from roost.access.organizations.invitations import Newcomer, Offer, status_of, with_status
from roost.access.organizations.mails import send_invitation
from roost.access.organizations.models import Invitation
from roost.access.organizations.repository import get_organization_with, list_invitations
from roost.access.organizations.schemas import (
    InvitationAccept,
    InvitationAccepted,
    InvitationCreate,
    InvitationCreated,
    InvitationPreview,
    InvitationRead,
    InvitationStatus,
    InvitationToken,
)
from roost.access.passwords import refuse_weak
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import Conflict, Invalid
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.links import app_link
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

Inviter = Annotated[UserPrincipal, requires("users:write")]

_ACCOUNT_MADE: dict[str, Any] = {"description": "An account was made", "model": InvitationAccepted}

router = api_router("organizations")


@router.get(
    "/organizations/{organization_id}/invitations",
    operation_id="list_invitations",
    summary="List invitations",
    responses=problem_responses(400, 401, 403, 404),
)
async def read_invitations(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Inviter,
    session: ReadSession,
    page: Page,
    organization_id: RowId,
    status: Annotated[InvitationStatus | None, Query()] = None,
) -> list[InvitationRead]:
    """Every invitation of the organization, by id, without the links."""
    await get_organization_with(session, principal, organization_id, "users:write")
    now = request.app.state.clock.now()
    condition = None if status is None else with_status(status, now)
    found = await list_invitations(
        session, organization_id, condition=condition, after_id=page.after_id, limit=page.limit + 1
    )
    return [InvitationRead(**_fields(one, request)) for one in page.cut(found, lambda one: one.id)]


@router.post(
    "/organizations/{organization_id}/invitations",
    operation_id="invite",
    status_code=201,
    summary="Invite somebody",
    response_model=InvitationCreated,
    responses=problem_responses(401, 403, 404, 409, 429),
)
async def invite(
    request: Request,
    principal: Inviter,
    idempotency: Idempotent,
    organization_id: RowId,
    wanted: InvitationCreate,
) -> Any:
    """The link is shown here once, and mailed when the hub can. It replaces an earlier one to the same address."""
    state = request.app.state
    state.invitation_rate.check(str(principal.user_id), invitations.TOO_MANY_MAILS)
    # The mail goes out after the commit: nobody waits for a mail server inside a transaction, and no link of an
    # invitation that was rolled back leaves the house.
    async with state.database.write() as session:
        replay = await idempotency.replay(session, f"user:{principal.user_id}")
        if replay is not None:
            return replay
        organization = await get_organization_with(session, principal, organization_id, "users:write", lock=True)
        invitation, token = await invitations.invite(
            session,
            state.clock,
            principal,
            state.belongings,
            organization,
            email=wanted.email,
            role=wanted.role,
            home_ids=wanted.home_ids,
        )
        link = app_link(request, "invitation", token)
        created = InvitationCreated(**_fields(invitation, request), accept_url=link, emailed=False)
        await idempotency.remember(session, created, secrets=["accept_url"])
    if state.mailer.configured:
        created.emailed = await send_invitation(
            state.mailer, invitation, link, organization_name=organization.name, inviter=principal.email
        )
        async with state.database.write() as session:
            await idempotency.remember(session, created, secrets=["accept_url"])
    return created


@router.delete(
    "/organizations/{organization_id}/invitations/{invitation_id}",
    operation_id="revoke_invitation",
    status_code=204,
    summary="Take an invitation back",
    responses=problem_responses(401, 403, 404, 409),
)
async def revoke_invitation(
    request: Request, principal: Inviter, session: WriteSession, organization_id: RowId, invitation_id: RowId
) -> None:
    """Its link is good for nothing from now on. One that was accepted stays (409): remove the member instead."""
    await get_organization_with(session, principal, organization_id, "users:write")
    await invitations.revoke(session, request.app.state.clock, principal, organization_id, invitation_id)


@router.post(
    "/invitations/preview",
    operation_id="preview_invitation",
    summary="Look at an invitation",
    responses=problem_responses(404),
)
async def preview_invitation(request: Request, session: ReadSession, shown: InvitationToken) -> InvitationPreview:
    """What the link offers, to whoever holds it. The token travels in the body, so that no log keeps it."""
    offer = await invitations.get_offer(session, shown.token)
    invitation = offer.invitation
    return InvitationPreview(
        organization_name=offer.organization.name,
        email=invitation.email,
        role=invitation.role,
        status=status_of(invitation, request.app.state.clock.now()),
        invited_by=(offer.inviter.full_name or offer.inviter.username) if offer.inviter else None,
        expires_at=invitation.expires_at,
        account_exists=await invitations.account_exists(session, invitation),
    )


@router.post(
    "/invitations/accept",
    operation_id="accept_invitation",
    summary="Accept an invitation",
    responses={201: _ACCOUNT_MADE, **problem_responses(401, 403, 404, 409, 410)},
)
async def accept_invitation(
    request: Request,
    response: Response,
    access_token: Annotated[str | None, Depends(bearer)],
    wanted: InvitationAccept,
) -> InvitationAccepted:
    """Signed in: join with this account. Otherwise with a password: make an account with the invited address (201)."""
    state = request.app.state
    if access_token:
        who: UserPrincipal | Newcomer = await _caller(request, access_token)
    else:
        async with state.database.read() as session:
            offer = await invitations.get_offer(session, wanted.token)
            invitations.require_open(offer.invitation, state.clock.now())
            if await invitations.account_exists(session, offer.invitation):
                raise Conflict(
                    "There is an account with this e-mail address; sign in with it to accept.", code="email_taken"
                )
        who = await _newcomer(request, offer, wanted)
    async with state.database.write() as session:
        offer, user = await invitations.accept(session, state.clock, state.belongings, wanted.token, who)
    created = isinstance(who, Newcomer)
    response.status_code = 201 if created else 200
    return InvitationAccepted(
        organization_id=offer.organization.id,
        organization_name=offer.organization.name,
        role=offer.invitation.role,
        user_id=user.id,
        email=user.email,
        account_created=created,
    )


async def _caller(request: Request, access_token: str) -> UserPrincipal:
    principal = await identify_user(request, access_token)
    ensure_signed_in(principal)
    return principal


async def _newcomer(request: Request, offer: Offer, wanted: InvitationAccept) -> Newcomer:
    if wanted.password is None:
        detail = "Choose a password for your account, or sign in first."
        raise Invalid(detail, code="password_missing", errors=[{"pointer": "/password", "detail": detail}])
    refuse_weak(wanted.password, email=offer.invitation.email, username=wanted.username or "")
    password_hash = await request.app.state.passwords.hash(wanted.password)
    return Newcomer(password_hash, wanted.username, wanted.full_name)


def _fields(invitation: Invitation, request: Request) -> dict[str, Any]:
    return {
        "id": invitation.id,
        "organization_id": invitation.organization_id,
        "email": invitation.email,
        "role": invitation.role,
        "home_ids": invitation.home_ids,
        "status": status_of(invitation, request.app.state.clock.now()),
        "invited_by": invitation.invited_by,
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "accepted_at": invitation.accepted_at,
    }
