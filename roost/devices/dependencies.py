"""Principals for endpoints that devices call, alone or beside users."""

from typing import Annotated, Any

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer, SecurityScopes
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.requests import Request
from starlette.types import Scope

from roost.access.audit.addresses import DEVICES, Sighting
from roost.access.audit.log import Actor
from roost.access.audit.refusals import CALLER
from roost.access.dependencies import ensure_scopes, identify_user
from roost.access.principals import UserPrincipal
from roost.access.roles import SCOPES
from roost.core.errors import Unauthorized
from roost.devices.identities import TOKEN_PREFIX, DeviceIdentities
from roost.devices.identity import DeviceIdentity

_header = APIKeyHeader(
    name="X-Device-Token", scheme_name="Device", auto_error=False, description="The token of a device (`rdt_…`)."
)
_device_bearer = HTTPBearer(
    scheme_name="DeviceBearer", auto_error=False, description="The token of a device, as `Authorization: Bearer rdt_…`."
)
# The same scheme as for users alone: one entry in the OpenAPI document.
_user_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/login", scheme_name="User", scopes=SCOPES, auto_error=False,
    description="An access token of a signed-in user, or a personal API token (`rpat_…`).",
)  # fmt: skip


async def _device(
    request: Request,
    token: Annotated[str | None, Security(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_device_bearer)],
) -> DeviceIdentity:
    given = token or (bearer.credentials if bearer is not None else None)
    if not given:
        raise Unauthorized("This needs the device's token, as X-Device-Token or `Authorization: Bearer rdt_…`.")
    return await identify(request, given)


async def _device_if_any(
    request: Request,
    token: Annotated[str | None, Security(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_device_bearer)],
) -> DeviceIdentity | None:
    given = token or (bearer.credentials if bearer is not None else None)
    return await identify(request, given) if given else None


async def _caller(
    request: Request,
    scopes: SecurityScopes,
    token: Annotated[str | None, Security(_header)],
    bearer: Annotated[str | None, Depends(_user_bearer)],
) -> DeviceIdentity | UserPrincipal:
    if token or (bearer or "").startswith(TOKEN_PREFIX):
        return await identify(request, token or bearer or "")
    if not bearer:
        raise Unauthorized("This needs a device's token (X-Device-Token) or a signed-in user.")
    principal = await identify_user(request, bearer)
    ensure_scopes(principal, scopes.scopes)
    return principal


async def identify(request: Request, token: str) -> DeviceIdentity:
    """The device behind a token, which counts as heard from now on. Raises Unauthorized."""
    identity = await identify_sender(request.scope, token)
    state = request.app.state
    state.presence.seen(identity.device_id, state.clock.now_ms())
    return identity


async def identify_sender(scope: Scope, token: str) -> DeviceIdentity:
    """The same on the way of every message, where presence hears of it later. Raises Unauthorized."""
    state = scope["app"].state
    identities: DeviceIdentities = state.identities
    identity = identities.cached(token) or await identities.authenticate(token)
    if identity is None:
        raise Unauthorized(
            "This device token is not (or no longer) good; pair the device again or give it a new token.",
            code="invalid_device_token",
        )
    scope[CALLER] = identity
    client = scope.get("client")
    address = client[0] if client else "unknown"
    if not state.audit.addresses.knows(DEVICES, identity.device_id, address):
        actor = Actor("device", identity.device_id, identity.device_uid)
        state.audit.used(Sighting(DEVICES, identity.device_id, address, actor, identity.organization_id))
    return identity


def device_or_user(*scopes: str) -> Any:
    """For `Annotated[DeviceIdentity | UserPrincipal, device_or_user("devices:read")]`; the scopes bind users only."""
    return Security(_caller, scopes=list(scopes))


CurrentDevice = Annotated[DeviceIdentity, Security(_device)]
"""A device that has proved who it is. Declare it before any session: a first sign-in may write."""

DeviceIfAny = Annotated[DeviceIdentity | None, Security(_device_if_any)]
"""The same for endpoints that do without: nobody when no token is sent, 401 when a wrong one is."""
