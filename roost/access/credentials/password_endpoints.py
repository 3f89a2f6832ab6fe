"""Changing a password, and getting a new one without the old."""

from functools import partial
from typing import Annotated, Any

from starlette.requests import Request

from roost.access.answers import client_address
from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials.forgotten_passwords import SUBJECT, reset_mail
from roost.access.credentials.password_resets import PAGE
from roost.access.credentials.schemas import (
    PasswordChange,
    PasswordForgotten,
    PasswordForgottenRead,
    PasswordReset,
    ResetLinkRead,
    SessionsEnded,
)
from roost.access.credentials.service import Credentials
from roost.access.dependencies import SignedInUser, ensure_signed_in, requires
from roost.access.models import User
from roost.access.organizations.members import require_manages
from roost.access.passwords import refuse_weak
from roost.access.principals import UserPrincipal
from roost.access.sessions import end_all_sessions
from roost.access.users.repository import get_person
from roost.core.errors import Conflict, Invalid
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.links import app_link
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts")


@router.post(
    "/auth/password",
    operation_id="change_password",
    summary="Change the password",
    responses=problem_responses(401, 403, 429),
)
async def change_password(request: Request, user: SignedInUser, body: PasswordChange) -> SessionsEnded:
    """Ends the user's other sessions. Whoever has no password yet, having signed in elsewhere, needs no old one."""
    state = request.app.state
    async with state.database.read() as session:
        row = await session.get_one(User, user.user_id)
    if row.password_hash is not None:
        if body.current_password is None:
            raise Invalid(
                "Send your current password too.",
                errors=[{"pointer": "/current_password", "detail": "Your current password is needed."}],
            )
        await state.sessions.check_password(user.user_id, body.current_password, client_address(request))
    refuse_weak(body.new_password, email=row.email, username=row.username, pointer="/new_password")
    password_hash = await state.passwords.hash(body.new_password)
    async with state.database.write() as session:
        changed = await session.get_one(User, user.user_id, with_for_update=True)
        if changed.password_hash != row.password_hash:
            raise Conflict("The password was changed at the same moment.", code="password_changed")
        changed.password_hash = password_hash
        changed.updated_at = state.clock.now()
        await state.credentials.password_resets.withdraw(session, user.user_id)
        ended = await end_all_sessions(session, state.clock, user.user_id, but=ensure_signed_in(user))
        deed = Deed("user.password_changed", Actor.of(user), object_kind="user", object_id=user.user_id)
        record(session, deed)
    return SessionsEnded(ended=ended)


@router.post(
    "/auth/password/forgot",
    operation_id="forgot_password",
    status_code=202,
    summary="Ask for a new password",
    responses=problem_responses(429),
)
async def forgot_password(request: Request, body: PasswordForgotten) -> PasswordForgottenRead:
    """Mails a link, good once for 30 minutes, if there is such an account; the answer is the same either way."""
    credentials: Credentials = request.app.state.credentials
    link_to = partial(app_link, request, PAGE)
    credentials.forgotten_passwords.ask(body.email, client_address(request), link_to)
    can_mail: bool = request.app.state.mailer.configured
    said = "If there is an account with this address, a link is on its way to it."
    unable = "This hub sends no mail; ask whoever manages it for a link, which `roost user reset-password` makes, too."
    return PasswordForgottenRead(detail=said if can_mail else unable, mail_configured=can_mail)


@router.post(
    "/auth/password/reset",
    operation_id="reset_password",
    status_code=204,
    summary="Set a new password by a link",
    responses=problem_responses(410),
)
async def reset_password(request: Request, body: PasswordReset) -> None:
    """Takes the token behind the # of the link, and ends every session. With a weak password the link stays good."""
    credentials: Credentials = request.app.state.credentials
    await credentials.password_resets.redeem(body.token, body.password)


@router.post(
    "/users/{user_id}/password-reset",
    operation_id="make_password_reset",
    status_code=201,
    summary="Let a user set a new password",
    response_model=ResetLinkRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def make_password_reset(
    request: Request,
    user: Annotated[UserPrincipal, requires("users:write")],
    idempotency: Idempotent,
    user_id: RowId,
) -> Any:
    """Mails the user a link, or shows it, to be handed over. By somebody who stands at least as high everywhere."""
    ensure_signed_in(user)
    state = request.app.state
    credentials: Credentials = state.credentials
    mailed = state.mailer.configured
    async with state.database.write() as session:
        replay = await idempotency.replay(session, f"user:{user.user_id}")
        if replay is not None:
            return replay
        person = await get_person(session, user, user_id)
        require_manages(user, person.grants)
        target = person.user
        if not target.is_active:
            raise Conflict("This account is deactivated; activate it first.", code="user_inactive")
        link = await credentials.password_resets.issue(session, target, mailed=mailed, offered_by=user)
        answer = ResetLinkRead(reset_url=None, expires_at=link.expires_at, emailed=mailed)
        deed = Deed(
            "user.password_reset_offered", Actor.of(user),
            object_kind="user", object_id=target.id, object_name=target.email, details={"mailed": mailed},
        )  # fmt: skip
        record(session, deed)
        await idempotency.remember(session, answer)
    url = app_link(request, PAGE, link.token)
    if mailed and not await state.mailer.send(target.email, SUBJECT, reset_mail(target, url)):
        answer.emailed = False
        async with state.database.write() as session:
            # What was shown to somebody else proves nothing about who reads the mails.
            link = await credentials.password_resets.issue(session, target, mailed=False, offered_by=user)
        answer.expires_at, url = link.expires_at, app_link(request, PAGE, link.token)
    if not answer.emailed:
        answer.reset_url = url
    return answer
