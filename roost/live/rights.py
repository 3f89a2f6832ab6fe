"""Who may listen, and for how long: tokens of users, looked at when a socket opens and again while it is open."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from roost.access.authentication import UserAuthentication
from roost.access.messages import DEACTIVATED, GRANTS_CHANGED
from roost.access.principals import UserPrincipal, visible_to
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import RoostError, Unauthorized
from roost.core.rates import RateLimiter
from roost.devices.models import Device
from roost.live.closings import NOT_ALLOWED, NOT_FOUND, NOT_SIGNED_IN, TOO_MANY, UNAVAILABLE, Closing
from roost.live.requests import Filters
from roost.places.models import Home

SOCKETS_PER_USER = 32
SOCKETS_WITHOUT_TOKEN = 256
TOKENS_PER_MINUTE = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Right:
    """A token that was good when it was looked at, whose it is, and when it ends (seconds since 1970)."""

    token: str
    principal: UserPrincipal
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Holder:
    """An open socket: by which right it is open now, how to end it, and how to have it ask again before it goes on."""

    right: Callable[[], Right]
    dismiss: Callable[[Closing], None]
    reconsider: Callable[[], None]


class Rights:
    """Gives and takes the right to listen. Hears sign-outs, deactivations and changes of grants on the bus."""

    def __init__(self, database: Database, authentication: UserAuthentication, clock: Clock, bus: Bus) -> None:
        self._database = database
        self._authentication = authentication
        self._clock = clock
        self._holders: set[Holder] = set()
        self._without_token = 0
        self._renewals = RateLimiter(clock, per_minute=TOKENS_PER_MINUTE, burst=TOKENS_PER_MINUTE)
        # Counts what ended sessions: what was read from the database before must be read again after.
        self._epoch = 0
        self._subscriptions = [
            bus.subscribe("session.revoked", self._on_session_revoked),
            bus.subscribe(DEACTIVATED, self._on_user_deactivated),
            bus.subscribe(GRANTS_CHANGED, self._on_grants_changed),
            bus.subscribe("api_token.revoked", self._on_api_token_revoked),
        ]

    def close(self) -> None:
        """Stop hearing the bus."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()

    async def establish(self, token: str, scope: str) -> Right:
        """The right that a token gives. Raises Closing: 4401 for a bad token, 4403 without the scope."""
        epoch = -1
        principal = None
        while principal is None or epoch != self._epoch:
            epoch = self._epoch
            principal = await self._authenticate(token)
        if not principal.has(scope):
            raise Closing(NOT_ALLOWED, f"Your role does not include {scope}.", principal)
        return Right(token, principal, self._expiry(token))

    async def renew(self, right: Right, token: str, scope: str) -> Right:
        """The right by a fresh token of the same user. Raises Closing."""
        if self._renewals.take(str(right.principal.user_id)) > 0:
            raise Closing(TOO_MANY, "Too many authenticate frames; one per token is enough.")
        fresh = await self.establish(token, scope)
        if fresh.principal.user_id != right.principal.user_id:
            raise Closing(NOT_SIGNED_IN, "The new token belongs to somebody else; open a socket of its own for it.")
        return fresh

    async def recheck(self, right: Right, scope: str, filters: Filters) -> Right:
        """The same right with today's grants, which are known to have changed. Raises Closing when it no longer stands,
        and when that cannot be found out.
        """
        fresh = replace(right, principal=(await self.establish(right.token, scope)).principal)
        await self.check_filters(fresh.principal, scope, filters)
        return fresh

    async def refresh(self, right: Right, scope: str) -> Right:
        """The same right with today's grants. Raises Closing when it no longer stands."""
        try:
            return replace(right, principal=(await self.establish(right.token, scope)).principal)
        except Closing as closing:
            # While the database is away nobody can be checked, and nobody can be sent away either: the token ends soon.
            if closing.code == UNAVAILABLE:
                return right
            raise

    def seconds_left(self, right: Right) -> float:
        """How long the token is still good for."""
        return right.expires_at_s - self._clock.now_ms() / 1000

    async def check_filters(self, principal: UserPrincipal, scope: str, filters: Filters) -> None:
        """Raises Closing (4404) for a home or device that is not there or not within reach."""
        device_reach = visible_to(principal, scope, organization=Device.organization_id, home=Device.home_id)
        home_reach = visible_to(principal, scope, organization=Home.organization_id, home=Home.id)
        with _database_errors():
            async with self._database.read() as session:
                if filters.device_id is not None:
                    device = select(Device.id).where(Device.id == filters.device_id, device_reach)
                    if await session.scalar(device) is None:
                        raise Closing(NOT_FOUND, f"There is no device {filters.device_id}.")
                if filters.home_id is not None:
                    home = select(Home.id).where(Home.id == filters.home_id, home_reach)
                    if await session.scalar(home) is None:
                        raise Closing(NOT_FOUND, f"There is no home {filters.home_id}.")

    @contextlib.contextmanager
    def waiting_for_token(self) -> Iterator[None]:
        """Counts a socket that has not said yet whose it is. Raises Closing when there are too many of them."""
        if self._without_token >= SOCKETS_WITHOUT_TOKEN:
            raise Closing(UNAVAILABLE, "Too many sockets are waiting for their token; try again in a moment.")
        self._without_token += 1
        try:
            yield
        finally:
            self._without_token -= 1

    @contextlib.contextmanager
    def holding(self, holder: Holder) -> Iterator[None]:
        """Keeps a socket known while it is open. Raises Closing when its user has too many."""
        user_id = holder.right().principal.user_id
        if sum(other.right().principal.user_id == user_id for other in self._holders) >= SOCKETS_PER_USER:
            raise Closing(TOO_MANY, f"You have {SOCKETS_PER_USER} live connections already; close one of them.")
        self._holders.add(holder)
        try:
            yield
        finally:
            self._holders.discard(holder)

    async def _authenticate(self, token: str) -> UserPrincipal:
        with _database_errors():
            try:
                return await self._authentication.authenticate(token)
            except Unauthorized as error:
                raise Closing(NOT_SIGNED_IN, error.detail) from error

    def _expiry(self, token: str) -> float:
        return self._authentication.ends_at_s(token)

    def _on_session_revoked(self, _subject: str, message: dict[str, Any]) -> None:
        self._epoch += 1
        self._dismiss(lambda principal: principal.session_id == message["session_id"], "You have signed out.")

    def _on_api_token_revoked(self, _subject: str, message: dict[str, Any]) -> None:
        self._epoch += 1
        token_id = message["api_token_id"]
        self._dismiss(lambda principal: principal.api_token_id == token_id, "This API token has been revoked.")

    def _on_user_deactivated(self, _subject: str, message: dict[str, Any]) -> None:
        self._epoch += 1
        self._dismiss(lambda principal: principal.user_id == message["user_id"], "This account has been deactivated.")

    def _on_grants_changed(self, _subject: str, message: dict[str, Any]) -> None:
        self._epoch += 1
        for holder in tuple(self._holders):
            if holder.right().principal.user_id == message["user_id"]:
                holder.reconsider()

    def _dismiss(self, concerns: Callable[[UserPrincipal], bool], reason: str) -> None:
        for holder in tuple(self._holders):
            if concerns(holder.right().principal):
                holder.dismiss(Closing(NOT_SIGNED_IN, reason))


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    """Turns a database that is away into a Closing (1013) that says so."""
    try:
        yield
    except (Closing, Unauthorized):
        raise
    except (RoostError, SQLAlchemyError, OSError) as error:
        raise Closing(UNAVAILABLE, "The hub cannot check your token now; try again in a few seconds.") from error
