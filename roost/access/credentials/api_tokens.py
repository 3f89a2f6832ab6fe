"""Personal API tokens (`rpat_…`): made for scripts, never more than their user, remembered for a moment once seen."""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.authentication import API_TOKEN_PREFIX, grants_of
from roost.access.credentials.models import ApiToken
from roost.access.models import Organization, User
from roost.access.principals import UserPrincipal
from roost.access.tokens import invalid_token
from roost.core import logging as logs
from roost.core import outbox
from roost.core.bus import Bus
from roost.core.clock import Clock, from_ms, to_ms
from roost.core.database import AWAY, Database
from roost.core.errors import Conflict, Forbidden, NotFound, RoostError
from roost.core.ids import new_token, token_digest

_log = logging.getLogger(__name__)

REVOKED = "api_token.revoked"
MOST_PER_USER = 100
# The bus tells of every change at once; this is for what nobody told.
_REMEMBER_S = 10.0
_REMEMBERED = 10_000
_NOTE_USE_EVERY_S = 15.0
# What a database that is away says.
_AWAY = (*AWAY, RoostError)


@dataclass(frozen=True, slots=True)
class _Known:
    principal: UserPrincipal
    expires_at_ms: int | None
    looked_up_s: float


class ApiTokens:
    """Recognises API tokens, and notes now and then when each was last used."""

    def __init__(self, database: Database, clock: Clock, bus: Bus) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # Turned by every change: what was read before one is not remembered after it.
        self._epoch = 0
        self._used: dict[int, tuple[datetime, str | None]] = {}
        self._stopping = asyncio.Event()
        self._noting: asyncio.Task[None] | None = None
        self._subscriptions: list[Callable[[], None]] = [
            bus.subscribe(subject, self._on_change) for subject in (REVOKED, "user.grants_changed", "user.deactivated")
        ]

    def start(self) -> None:
        """Begin to note uses."""
        self._noting = asyncio.create_task(self._note_uses(), name="api-token-uses")

    async def stop(self) -> None:
        """Write down what is still to be noted."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        self._stopping.set()
        if self._noting is not None:
            await self._noting
            self._noting = None

    async def authenticate(self, token: str) -> UserPrincipal:
        """The principal of an API token: its user's grants of this moment, narrowed. Raises Unauthorized."""
        digest = token_digest(token)
        known = self._known.get(digest)
        if known is None or self._clock.monotonic() - known.looked_up_s > _REMEMBER_S:
            known = await self._look_up(digest)
        if known.expires_at_ms is not None and known.expires_at_ms <= self._clock.now_ms():
            raise _not_good()
        assert known.principal.api_token_id is not None, "it came with one"  # noqa: S101
        self._used[known.principal.api_token_id] = (self._clock.now(), logs.client_address.get())
        return known.principal

    def ends_at_s(self, token: str) -> float:
        """When a token that was just authenticated ends, in seconds since 1970; infinity when it does not."""
        known = self._known.get(token_digest(token))
        return math.inf if known is None or known.expires_at_ms is None else known.expires_at_ms / 1000

    async def _look_up(self, digest: str) -> _Known:
        epoch, asked_s = self._epoch, self._clock.monotonic()
        query = select(ApiToken, User.email, User.username).join(User, User.id == ApiToken.user_id)
        query = query.where(ApiToken.digest == digest, ApiToken.revoked_at.is_(None), User.is_active)
        async with self._database.read() as session:
            row = (await session.execute(query)).first()
            if row is None:
                self._known.pop(digest, None)
                raise _not_good()
            token, email, username = row
            grants = await grants_of(session, token.user_id)
        principal = UserPrincipal(
            token.user_id, email, username, None, grants,
            api_token_id=token.id, allowed_scopes=frozenset(token.scopes), only_organization_id=token.organization_id,
        )  # fmt: skip
        known = _Known(principal, None if token.expires_at is None else to_ms(token.expires_at), asked_s)
        if epoch == self._epoch:
            self._known[digest] = known
            self._known.move_to_end(digest)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _on_change(self, _subject: str, message: dict[str, Any]) -> None:
        self._epoch += 1
        user_id = message["user_id"]
        for digest in [digest for digest, known in self._known.items() if known.principal.user_id == user_id]:
            del self._known[digest]

    async def _note_uses(self) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(_NOTE_USE_EVERY_S):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            try:
                await self._write_uses()
            except _AWAY as error:
                _log.warning("When API tokens were last used could not be noted: %s", error)

    async def _write_uses(self) -> None:
        if not self._used:
            return
        used, self._used = self._used, {}
        async with self._database.write() as session:
            for token_id, (moment, address) in used.items():
                change = update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=moment)
                if address is not None:
                    change = change.values(last_address=address[:64])
                await session.execute(change)


async def create(
    session: AsyncSession, clock: Clock, principal: UserPrincipal,
    *, name: str, scopes: list[str], expires_at_ms: int | None, organization_id: int | None,
) -> tuple[ApiToken, str]:  # fmt: skip
    """A new token of the caller and its secret, which is kept as a digest only.

    Raises NotFound for an organization out of reach, Forbidden for scopes the caller does not have (there), Conflict
    when the caller has too many tokens.
    """
    await _check_reach(session, principal, scopes, organization_id)
    now = clock.now()
    standing = (ApiToken.expires_at.is_(None)) | (ApiToken.expires_at > now)
    mine = ApiToken.user_id == principal.user_id
    count = select(func.count()).select_from(ApiToken).where(mine, ApiToken.revoked_at.is_(None), standing)
    if (await session.scalar(count) or 0) >= MOST_PER_USER:
        raise Conflict(f"You have {MOST_PER_USER} API tokens; revoke one that you do not need.", code="too_many_tokens")
    secret = new_token(API_TOKEN_PREFIX)
    token = ApiToken(
        user_id=principal.user_id,
        organization_id=organization_id,
        name=name,
        digest=token_digest(secret),
        scopes=sorted(set(scopes)),
        created_at=now,
        expires_at=None if expires_at_ms is None else from_ms(expires_at_ms),
    )
    session.add(token)
    await session.flush()
    return token, secret


async def list_of(session: AsyncSession, user_id: int, *, after_id: int, limit: int) -> list[ApiToken]:
    """The tokens of a user that have not been revoked, oldest first; expired ones are still shown."""
    query = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None), ApiToken.id > after_id)
    return list(await session.scalars(query.order_by(ApiToken.id).limit(limit)))


async def revoke(session: AsyncSession, clock: Clock, user_id: int, token_id: int) -> ApiToken:
    """End a token of the user at once. Raises NotFound."""
    query = select(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    token = await session.scalar(query.with_for_update())
    if token is None:
        raise NotFound("You have no such API token.", code="api_token_not_found")
    token.revoked_at = clock.now()
    outbox.add(session, REVOKED, {"api_token_id": token.id, "user_id": user_id})
    return token


async def revoke_all(session: AsyncSession, clock: Clock, user_id: int) -> int:
    """End every API token of the user at once; how many there were."""
    ending = update(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    ended = await session.scalars(ending.values(revoked_at=clock.now()).returning(ApiToken.id))
    token_ids = list(ended)
    for token_id in token_ids:
        outbox.add(session, REVOKED, {"api_token_id": token_id, "user_id": user_id})
    return len(token_ids)


async def _check_reach(
    session: AsyncSession, principal: UserPrincipal, scopes: list[str], organization_id: int | None
) -> None:
    if organization_id is None:
        missing = [scope for scope in scopes if not principal.has(scope)]
    else:
        query = select(Organization.id).where(Organization.id == organization_id)
        if not principal.reach("organization:read").everywhere:
            query = query.where(Organization.id.in_(principal.organization_ids))
        if await session.scalar(query) is None:
            raise NotFound("There is no such organization, for you.", code="organization_not_found")
        missing = [scope for scope in scopes if not _counts_in(principal, scope, organization_id)]
    if missing:
        raise Forbidden(
            f"You do not have the scope {missing[0]} there, so a token of yours cannot.", code="missing_scope"
        )


def _counts_in(principal: UserPrincipal, scope: str, organization_id: int) -> bool:
    reach = principal.reach(scope)
    return reach.covers(organization_id) or any(place[0] == organization_id for place in reach.homes)


def _not_good() -> Exception:
    return invalid_token("This API token has been revoked or has expired; make a new one.", code="invalid_api_token")
