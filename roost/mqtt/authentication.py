"""Who connects: a device by its token, or a user by an access token or an API token, which may read."""

import hashlib
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from roost.access.authentication import API_TOKEN_PREFIX
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Unauthorized
from roost.core.rates import RateLimiter
from roost.devices.identities import looks_like_device_token
from roost.devices.identity import DeviceIdentity
from roost.mqtt.codec import Connect
from roost.mqtt.ports import AuthenticateUser, Identities
from roost.mqtt.reasons import Reason, SignInError

# Different wrong passwords from one address: so many at once, then so many a minute. Beyond that nothing is looked up.
FAILURES_AT_ONCE = 30
FAILURES_A_MINUTE = 30
_KEPT_REFUSALS = 10_000
_LOOKUPS = 3
_WRONG = "User name and password do not match: a device sends its id (or uid) and its token, or the token as name."


@dataclass(slots=True)
class Authentication:
    """Decides on CONNECTs. A device that is known already is let in without a query, whatever its neighbours do."""

    identities: Identities
    authenticate_user: AuthenticateUser
    failures: RateLimiter
    # Credentials that were refused: tokens are random, so what is wrong today will not be right tomorrow. A device that
    # keeps on trying with a revoked one costs nothing, and doesn't use up what its neighbours at the same address have.
    refused: dict[bytes, None] = field(default_factory=dict)

    @classmethod
    def build(cls, identities: Identities, authenticate_user: AuthenticateUser, clock: Clock) -> "Authentication":
        failures = RateLimiter(clock, per_minute=FAILURES_A_MINUTE, burst=FAILURES_AT_ONCE)
        return cls(identities, authenticate_user, failures)

    def recall(self, connect: Connect) -> DeviceIdentity | None:
        """The device, if its token is in memory: most reconnects, and at no cost."""
        token = _token(connect)
        identity = self.identities.cached(token) if token is not None else None
        if identity is None or token is None or not _is_named(connect.user_name, token, identity):
            return None
        return identity

    async def find(self, connect: Connect, address: str) -> DeviceIdentity | UserPrincipal:
        """Whoever the password belongs to.

        Raises:
            SignInError: nobody, or too many wrong ones came from this address.
            Exception: what the database says when it is away.
        """
        credentials = _digest(connect)
        if credentials in self.refused:
            raise SignInError(Reason.BAD_USER_NAME_OR_PASSWORD, _WRONG)
        key = _network(address)
        wait_s = self.failures.wait_s(key)
        if wait_s > 0:
            detail = f"Too many wrong passwords came from your address; try again in {round(wait_s) + 1} s."
            raise SignInError(Reason.CONNECTION_RATE_EXCEEDED, detail)
        token = _token(connect)
        principal = await self._find_token(token, connect.user_name) if token is not None else None
        if principal is None:
            self.failures.take(key)
            # An API token rests while its user is deactivated, and may come back.
            if not (token or "").startswith(API_TOKEN_PREFIX):
                self._remember(credentials)
            raise SignInError(Reason.BAD_USER_NAME_OR_PASSWORD, _WRONG)
        return principal

    def _remember(self, credentials: bytes) -> None:
        if len(self.refused) >= _KEPT_REFUSALS:
            del self.refused[next(iter(self.refused))]
        self.refused[credentials] = None

    async def _find_token(self, token: str, user_name: str | None) -> DeviceIdentity | UserPrincipal | None:
        if looks_like_device_token(token):
            identity = await self._find_device(token)
            return identity if identity is not None and _is_named(user_name, token, identity) else None
        if token.count(".") != 2 and not token.startswith(API_TOKEN_PREFIX):
            return None
        try:
            return await self.authenticate_user(token)
        except Unauthorized:
            return None

    async def _find_device(self, token: str) -> DeviceIdentity | None:
        for _ in range(_LOOKUPS):
            identity = await self.identities.authenticate(token)
            # Not in memory although just looked up: the token was revoked meanwhile, or something near it changed.
            if identity is None or self.identities.cached(token) is not None:
                return identity
        return None


def _token(connect: Connect) -> str | None:
    if not connect.password and connect.user_name and looks_like_device_token(connect.user_name):
        # As ThingsBoard's clients send it.
        return connect.user_name
    try:
        return connect.password.decode("ascii") if connect.password else None
    except UnicodeDecodeError:
        return None


def _digest(connect: Connect) -> bytes:
    name = "" if connect.user_name is None else connect.user_name
    return hashlib.sha256(name.encode() + b"\0" + (connect.password or b"")).digest()


def _is_named(user_name: str | None, token: str, identity: DeviceIdentity) -> bool:
    """Whether the user name says the same as the token, or is the token. MQTT 5 may leave it out."""
    return user_name is None or user_name in {str(identity.device_id), identity.device_uid, token}


def _network(address: str) -> str:
    """What one attacker has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return parsed.packed[:8].hex()
    return address
