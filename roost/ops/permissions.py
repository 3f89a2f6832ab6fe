"""Who may look at `/system/*`: everybody on a hub that only this machine can reach, otherwise `system:read`."""

import ipaddress

from starlette.requests import Request

from roost.access.authentication import UserAuthentication
from roost.core.errors import Forbidden, Unauthorized
from roost.core.settings import Settings

SCOPE = "system:read"

# A proxy on this machine makes strangers look local; these headers give most of them away.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


async def system_reader(request: Request) -> None:
    """A dependency for `/system/*`. Raises Unauthorized or Forbidden."""
    state = request.app.state
    settings: Settings = state.settings
    public = settings.system_public
    if public is None:
        public = _listens_on_loopback_only(settings) and _is_local(request)
    if public:
        return
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthorized("Sign in to see how this machine is doing.")
    authentication: UserAuthentication = state.authentication
    principal = await authentication.authenticate(token.strip())
    if not principal.has(SCOPE):
        raise Forbidden(f"Your role does not include {SCOPE}.")


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
