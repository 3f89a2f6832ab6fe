"""Signing in with another provider. A browser walks through here, so what fails leads back to a page."""

import logging
import secrets
from datetime import timedelta
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from roost.access.answers import client_address, client_of, set_cookie
from roost.access.audit.log import ANONYMOUS, Actor, Deed, record
from roost.access.credentials import challenges, external_users
from roost.access.credentials.models import Challenge
from roost.access.credentials.oidc import Departure, ExternalUser, OidcFailed, OidcProvider
from roost.access.credentials.oidc_schemas import ExternalIdentityRead, LinkStarted, ProviderRead, SignInWays
from roost.access.credentials.passkeys import is_name
from roost.access.credentials.service import Credentials
from roost.access.dependencies import SignedInUser
from roost.access.models import User
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import NotFound, RoostError, Unavailable
from roost.core.http import PREFIX
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router, gather

_log = logging.getLogger(__name__)

STATE_COOKIE = "roost_oidc"
_FOLDER = f"{PREFIX}/auth/oidc"
_PURPOSE = "oidc"
_LIFETIME = timedelta(minutes=10)
_SIGN_IN_PAGE = "/app/signin"
_ACCOUNT_PAGE = "/app/account"
# The page knows by this that there is a session to take up.
_SIGNED_IN = "/app/#signed-in"

_strict = api_router("accounts", prefix="/auth")
_callback = api_router("accounts", prefix="/auth", any_query=True)


@_strict.get("/providers", operation_id="list_sign_in_ways", summary="Ways to sign in")
async def read_sign_in_ways(request: Request) -> SignInWays:
    """What the sign-in page offers."""
    state = request.app.state
    provider: OidcProvider | None = state.credentials.oidc
    known = [ProviderRead(id="oidc", name=provider.name, start_url=f"{_FOLDER}/start")] if provider else []
    return SignInWays(
        password=True,
        registration=True,
        passkeys=state.settings.public_url is not None or is_name(request.url.hostname or ""),
        password_reset_by_mail=state.mailer.configured,
        providers=known,
    )


@_strict.get(
    "/oidc/start",
    operation_id="start_oidc_sign_in",
    summary="Sign in at the provider",
    status_code=302,
    response_class=RedirectResponse,
    responses=problem_responses(404, 429),
)
async def start_sign_in(request: Request) -> Response:
    """Sends the browser to the provider; it comes back to `/auth/oidc/callback`."""
    credentials: Credentials = request.app.state.credentials
    credentials.sign_in_starts.check(client_address(request), "Too many sign-ins were begun from your address.")
    try:
        departure = await _depart(request, None)
    except OidcFailed as error:
        return _back(_SIGN_IN_PAGE, error.code)
    response = RedirectResponse(departure.url, status_code=302, headers={"Cache-Control": "no-store"})
    _set_state(request, response, departure.state)
    return response


@_strict.post(
    "/oidc/link",
    operation_id="start_oidc_link",
    summary="Sign in at the provider from now on",
    responses=problem_responses(401, 403, 404),
)
async def start_link(request: Request, response: Response, user: SignedInUser) -> LinkStarted:
    """Send the browser to the answered address: whoever signs in there belongs to this account from then on."""
    try:
        departure = await _depart(request, user.user_id)
    except OidcFailed as error:
        raise Unavailable(str(error), code=error.code, retry_after_s=30) from None
    _set_state(request, response, departure.state)
    response.headers["Cache-Control"] = "no-store"
    return LinkStarted(url=departure.url)


# Providers add parameters of their own to their answers.
@_callback.get(
    "/oidc/callback",
    operation_id="finish_oidc_sign_in",
    summary="Back from the provider",
    status_code=303,
    response_class=RedirectResponse,
    responses=problem_responses(404),
)
async def finish(
    request: Request,
    state: Annotated[str, Query(max_length=256)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
    error: Annotated[str, Query(max_length=256)] = "",
    iss: Annotated[str | None, Query(max_length=1024)] = None,
) -> Response:
    """Opens a session, keeps its refresh token in the cookie, and leads to the web app; or to a page with `?error=`."""
    provider = _provider(request)
    page = _SIGN_IN_PAGE
    try:
        begun = await _take_up(request, state)
        page = _SIGN_IN_PAGE if begun.user_id is None else _ACCOUNT_PAGE
        _refuse_errors(error, code)
        who = await provider.arrive(
            _redirect_uri(request), code=code, issuer=iss, nonce=begun.data["nonce"], verifier=begun.data["verifier"]
        )
        response = await _let_in(request, who, begun.user_id)
    except OidcFailed as failure:
        _log.info("A sign-in with the provider failed: %s", failure)
        details = {"method": "oidc", "code": failure.code}
        request.app.state.audit.note(Deed("user.sign_in_refused", ANONYMOUS, "refused", details=details))
        response = _back(page, failure.code)
    except RoostError as failure:
        _log.info("A sign-in with the provider failed: %s", failure.detail)
        response = _back(page, failure.code)
    response.delete_cookie(STATE_COOKIE, path=_FOLDER)
    response.headers["Cache-Control"] = "no-store"
    return response


@_strict.get(
    "/external-identities",
    operation_id="list_external_identities",
    summary="Where else I sign in",
    responses=problem_responses(400, 401, 403),
)
async def read_identities(user: SignedInUser, session: ReadSession, page: Page) -> list[ExternalIdentityRead]:
    """The caller's accounts at the provider, oldest first."""
    rows = await external_users.list_identities(session, user.user_id, after_id=page.after_id, limit=page.limit + 1)
    return [ExternalIdentityRead.of(row) for row in page.cut(rows, lambda row: row.id)]


@_strict.delete(
    "/external-identities/{identity_id}",
    operation_id="remove_external_identity",
    status_code=204,
    summary="Do not sign in there any more",
    responses=problem_responses(401, 403, 404, 409),
)
async def remove_identity(user: SignedInUser, session: WriteSession, identity_id: RowId) -> None:
    """The last way to sign in cannot be removed."""
    owner = await session.get_one(User, user.user_id, with_for_update=True)
    identity = await external_users.unlink(session, owner, identity_id)
    deed = Deed(
        "external_identity.unlinked", Actor.of(user), object_kind="user", object_id=user.user_id,
        object_name=user.email, details={"issuer": identity.issuer},
    )  # fmt: skip
    record(session, deed)


async def _depart(request: Request, user_id: int | None) -> Departure:
    departure = await _provider(request).depart(_redirect_uri(request))
    data = {"nonce": departure.nonce, "verifier": departure.verifier}
    clock = request.app.state.clock
    async with request.app.state.database.write() as session:
        await challenges.begin(
            session, clock, purpose=_PURPOSE, secret=departure.state, lifetime=_LIFETIME, user_id=user_id, data=data
        )
    return departure


async def _take_up(request: Request, state: str) -> Challenge:
    # Only the browser that was sent away may come back: else a stranger's code would sign its user in as the stranger.
    known = request.cookies.get(STATE_COOKIE, "")
    if not state or not secrets.compare_digest(known.encode(), state.encode()):
        raise OidcFailed("oidc_expired", "The browser does not know of this sign-in.")
    async with request.app.state.database.write() as session:
        begun = await challenges.take(session, request.app.state.clock, _PURPOSE, state)
    if begun is None:
        raise OidcFailed("oidc_expired", "This sign-in was finished already, or took too long.")
    return begun


def _refuse_errors(error: str, code: str) -> None:
    if error == "access_denied":
        raise OidcFailed("oidc_denied", "The provider, or the user there, said no.")
    if error or not code:
        raise OidcFailed("oidc_failed", f"The provider answered {error!r}.")


async def _let_in(request: Request, who: ExternalUser, link_to: int | None) -> Response:
    hub = request.app.state
    async with hub.database.write() as session:
        if link_to is not None:
            await external_users.link(session, hub.clock, who, link_to)
            return RedirectResponse(f"{_ACCOUNT_PAGE}#linked", status_code=303)
        user = await external_users.user_of(session, hub.clock, who, hub.credentials.register)
        signed_in = await hub.sessions.open(session, user, "oidc", client_of(request))
    response = RedirectResponse(_SIGNED_IN, status_code=303)
    set_cookie(request, response, signed_in)
    return response


def _provider(request: Request) -> OidcProvider:
    provider: OidcProvider | None = request.app.state.credentials.oidc
    if provider is None:
        raise NotFound("This hub signs nobody in at another provider.", code="no_provider")
    return provider


def _redirect_uri(request: Request) -> str:
    base = request.app.state.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}{_FOLDER}/callback"


def _set_state(request: Request, response: Response, state: str) -> None:
    # Lax: the browser comes back by a link from elsewhere, and has to bring it along.
    response.set_cookie(
        STATE_COOKIE, state, max_age=_LIFETIME.seconds, path=_FOLDER,
        secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip


def _back(page: str, code: str) -> Response:
    return RedirectResponse(f"{page}?error={code}", status_code=303, headers={"Cache-Control": "no-store"})


router = gather([_callback, _strict])
