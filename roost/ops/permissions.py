"""Who may look at `/system/*` and `/metrics`: everybody on a hub that only this machine reaches, or by a scope."""

import ipaddress

from starlette.requests import Request

from roost.access.audit.refusals import CALLER
from roost.access.authentication import UserAuthentication
from roost.access.principals import UserPrincipal
from roost.core.errors import Forbidden, Unauthorized
from roost.core.settings import Settings

SYSTEM = "system:read"
WHOLE = "ops:read"

# A proxy on this machine makes strangers look local; these headers give most of them away.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


async def system_reader(request: Request) -> None:
    """A dependency for `/system/*`. Raises Unauthorized or Forbidden."""
    principal = await _caller_unless_open(request)
    if principal is not None and not principal.has(SYSTEM):
        raise Forbidden(f"Your role does not include {SYSTEM}.", code="missing_scope")


async def metrics_reader(request: Request) -> None:
    """A dependency for `/metrics`, under the same rule. Raises Unauthorized or Forbidden."""
    principal = await _caller_unless_open(request)
    if principal is not None:
        ensure_whole(principal)


def ensure_whole(principal: UserPrincipal) -> None:
    """Raise Forbidden unless the caller may look at the whole installation, and not only at some organization."""
    if not principal.can(WHOLE, None):
        raise Forbidden(f"This needs the scope {WHOLE} for the whole installation.", code="missing_scope")


async def _caller_unless_open(request: Request) -> UserPrincipal | None:
    """Whoever signed in; None where nobody needs to. Raises Unauthorized."""
    state = request.app.state
    settings: Settings = state.settings
    public = settings.system_public
    if public is None:
        public = _listens_on_loopback_only(settings) and _is_local(request)
    if public:
        return None
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthorized("Sign in to see how this machine is doing.")
    authentication: UserAuthentication = state.authentication
    principal = request.scope[CALLER] = await authentication.authenticate(token.strip())
    return principal


def _listens_on_loopback_only(settings: Settings) -> bool:
    return _is_loopback(settings.host)


def _is_local(request: Request) -> bool:
    """Whether the request comes from this machine, for this machine.

    The addresses count and not only the setting, since another server than `roost run` may listen elsewhere; the Host
    header counts, since a web page anywhere may let its own name point to this machine and ask through the browser.
    """
    ends = (request.scope.get("server"), request.scope.get("client"))
    if any(end is not None and not _is_loopback(end[0]) for end in ends):
        return False
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return False
    return _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
