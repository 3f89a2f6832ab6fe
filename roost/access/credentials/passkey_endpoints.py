"""Passkeys: adding one, looking at them, removing one, and signing in."""

from typing import Any

from sqlalchemy import exists, select
from starlette.requests import Request
from starlette.responses import Response

from roost.access.answers import client_address, client_of, signed_in_answer
from roost.access.audit.log import Actor, Deed, record
from roost.access.audit.refusals import SIGN_IN_NAME
from roost.access.credentials.models import ExternalIdentity
from roost.access.credentials.passkey_schemas import PasskeyCreate, PasskeyOptions, PasskeyRead, PasskeySignIn
from roost.access.credentials.passkeys import (
    Passkeys,
    RelyingParty,
    list_passkeys,
    relying_party,
    remove_passkey,
)
from roost.access.credentials.service import Credentials
from roost.access.dependencies import SignedInUser
from roost.access.models import User
from roost.access.schemas import TokenRead
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts", prefix="/auth")


@router.post(
    "/passkeys/options",
    operation_id="begin_passkey",
    summary="Begin to add a passkey",
    responses=problem_responses(401, 403, 409),
)
async def begin_passkey(request: Request, user: SignedInUser) -> PasskeyOptions:
    """For the browser. What it makes of it goes to `POST /auth/passkeys` within five minutes, once."""
    passkeys, party = await _passkeys(request), party_of(request)
    async with request.app.state.database.write() as session:
        options = await passkeys.begin_registration(session, await session.get_one(User, user.user_id), party)
    return PasskeyOptions(public_key=options)


@router.post(
    "/passkeys",
    operation_id="add_passkey",
    status_code=201,
    summary="Add a passkey",
    response_model=PasskeyRead,
    responses=problem_responses(401, 403, 409),
)
async def add_passkey(request: Request, user: SignedInUser, idempotency: Idempotent, wanted: PasskeyCreate) -> Any:
    """From now on it signs its owner in, without a password or code."""
    passkeys, party = await _passkeys(request), party_of(request)
    async with request.app.state.database.write() as session:
        replay = await idempotency.replay(session, f"user:{user.user_id}")
        if replay is not None:
            return replay
        owner = await session.get_one(User, user.user_id)
        passkey = await passkeys.register(session, owner, party, name=wanted.name, credential=wanted.credential)
        deed = Deed(
            "passkey.added", Actor.of(user), object_kind="passkey", object_id=passkey.id, object_name=passkey.name
        )
        record(session, deed)
        added = PasskeyRead.of(passkey)
        await idempotency.remember(session, added)
    return added


@router.get(
    "/passkeys", operation_id="list_passkeys", summary="My passkeys", responses=problem_responses(400, 401, 403)
)
async def read_passkeys(user: SignedInUser, session: ReadSession, page: Page) -> list[PasskeyRead]:
    """The caller's passkeys, oldest first."""
    rows = await list_passkeys(session, user.user_id, after_id=page.after_id, limit=page.limit + 1)
    return [PasskeyRead.of(row) for row in page.cut(rows, lambda row: row.id)]


@router.delete(
    "/passkeys/{passkey_id}",
    operation_id="remove_passkey",
    status_code=204,
    summary="Remove a passkey",
    responses=problem_responses(401, 403, 404, 409),
)
async def delete_passkey(user: SignedInUser, session: WriteSession, passkey_id: RowId) -> None:
    """It signs nobody in any more. The last way to sign in cannot be removed."""
    elsewhere = select(exists().where(ExternalIdentity.user_id == user.user_id))
    owner = await session.get_one(User, user.user_id, with_for_update=True)
    passkey = await remove_passkey(session, owner, passkey_id, others=bool(await session.scalar(elsewhere)))
    deed = Deed(
        "passkey.removed", Actor.of(user), object_kind="passkey", object_id=passkey.id, object_name=passkey.name
    )
    record(session, deed)


@router.post(
    "/login/passkey/options",
    operation_id="begin_passkey_sign_in",
    summary="Begin to sign in with a passkey",
    responses=problem_responses(409, 429),
)
async def begin_passkey_sign_in(request: Request) -> PasskeyOptions:
    """For the browser, which offers the passkeys that it has for this hub."""
    credentials: Credentials = request.app.state.credentials
    credentials.sign_in_starts.check(client_address(request), "Too many sign-ins were begun from your address.")
    passkeys, party = await _passkeys(request), party_of(request)
    async with request.app.state.database.write() as session:
        options = await passkeys.begin_sign_in(session, party)
    return PasskeyOptions(public_key=options)


@router.post(
    "/login/passkey",
    operation_id="sign_in_with_passkey",
    summary="Sign in with a passkey",
    responses=problem_responses(401, 409, 429),
)
async def sign_in_with_passkey(request: Request, response: Response, body: PasskeySignIn) -> TokenRead:
    """The same answer as signing in with a password. No code is asked for: a passkey is two factors by itself."""
    credentials: Credentials = request.app.state.credentials
    credentials.sign_in_starts.check(client_address(request), "Too many sign-ins were begun from your address.")
    request.scope[SIGN_IN_NAME] = "(passkey)"
    passkeys, party = await _passkeys(request), party_of(request)
    state = request.app.state
    async with state.database.write() as session:
        user = await passkeys.identify(session, party, body.credential)
        signed_in = await state.sessions.open(session, user, "passkey", client_of(request))
    return signed_in_answer(request, response, signed_in, in_cookie=body.cookie)


def party_of(request: Request) -> RelyingParty:
    """The hub as this request's browser sees it. Raises Conflict for an IP address."""
    return relying_party(request.app.state.settings.public_url, request.url.hostname or "", request.url.netloc)


async def _passkeys(request: Request) -> Passkeys:
    passkeys: Passkeys = request.app.state.credentials.passkeys
    await passkeys.load()
    return passkeys
