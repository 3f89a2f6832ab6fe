"""The second factor beside the password: codes of an authenticator app."""

from starlette.requests import Request
from starlette.responses import Response

from roost.access.answers import client_address
from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials.app_codes import AppCodes
from roost.access.credentials.schemas import Proof, RecoveryCodes, TotpConfirm, TotpRead, TotpSetup
from roost.access.dependencies import SignedInUser
from roost.access.names import unique_key
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import Conflict, Forbidden
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts", prefix="/auth/totp")


@router.get("", operation_id="get_totp", summary="My second factor", responses=problem_responses(401, 403))
async def read_totp(request: Request, user: SignedInUser, session: ReadSession) -> TotpRead:
    """Whether a code is asked for beside the password, and how many recovery codes are left."""
    status = await _codes(request).status(session, user.user_id)
    return TotpRead(
        active=status.confirmed_at is not None,
        confirmed_at=status.confirmed_at,
        recovery_codes_left=status.recovery_codes_left,
    )


@router.post(
    "/setup",
    operation_id="set_up_totp",
    summary="Set up an authenticator app",
    responses=problem_responses(401, 403, 409),
)
async def set_up_totp(request: Request, response: Response, user: SignedInUser, session: WriteSession) -> TotpSetup:
    """A fresh secret for the app. Nothing is asked for until a code of it has been confirmed."""
    made = await _codes(request).set_up(session, user.user_id, user.email)
    response.headers["Cache-Control"] = "no-store"
    return TotpSetup(secret=made.secret, otpauth_uri=made.otpauth_uri)


@router.post(
    "/confirm",
    operation_id="confirm_totp",
    summary="Confirm the authenticator app",
    responses=problem_responses(401, 403, 409, 429),
)
async def confirm_totp(
    request: Request, response: Response, user: SignedInUser, session: WriteSession, body: TotpConfirm
) -> RecoveryCodes:
    """From now on signing in with the password needs a code. The recovery codes are shown this once."""
    request.app.state.sessions.throttle.enter_code(unique_key(user.email), client_address(request))
    codes = await _codes(request).confirm(session, user.user_id, body.code)
    record(session, Deed("user.second_factor_added", Actor.of(user), object_kind="user", object_id=user.user_id))
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=codes)


@router.post(
    "/recovery-codes",
    operation_id="renew_recovery_codes",
    summary="Get new recovery codes",
    responses=problem_responses(401, 403, 409, 429),
)
async def renew_recovery_codes(request: Request, response: Response, user: SignedInUser, body: Proof) -> RecoveryCodes:
    """In place of the old ones, used or not. They are shown this once."""
    await _check_password(request, user, body)
    async with request.app.state.database.write() as session:
        await _check_code(request, session, user, body)
        codes = await _codes(request).renew_recovery_codes(session, user.user_id)
        deed = Deed("user.recovery_codes_renewed", Actor.of(user), object_kind="user", object_id=user.user_id)
        record(session, deed)
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=codes)


@router.delete(
    "",
    operation_id="remove_totp",
    status_code=204,
    summary="Remove the second factor",
    responses=problem_responses(401, 403, 409, 429),
)
async def remove_totp(request: Request, user: SignedInUser, body: Proof) -> None:
    """The password is enough again. Needs the password, or a code."""
    await _check_password(request, user, body)
    async with request.app.state.database.write() as session:
        await _check_code(request, session, user, body)
        await _codes(request).remove(session, user.user_id)
        deed = Deed("user.second_factor_removed", Actor.of(user), object_kind="user", object_id=user.user_id)
        record(session, deed)


async def _check_password(request: Request, user: UserPrincipal, proof: Proof) -> None:
    sessions, address = request.app.state.sessions, client_address(request)
    if proof.password is not None:
        await sessions.check_password(user.user_id, proof.password, address)
    else:
        sessions.throttle.enter_code(unique_key(user.email), address)


async def _check_code(request: Request, session: WriteSession, user: UserPrincipal, proof: Proof) -> None:
    codes = _codes(request)
    if not await codes.is_set(session, user.user_id):
        raise Conflict("There is no second factor.", code="totp_not_set_up")
    if proof.code is not None and not await codes.spend(session, user.user_id, proof.code):
        raise Forbidden("This code is wrong or was used before; wait for the next.", code="wrong_second_factor")


def _codes(request: Request) -> AppCodes:
    codes: AppCodes = request.app.state.credentials.app_codes
    return codes
