"""From a token to the user behind it, for every transport: access tokens of sessions, and personal API tokens."""

from typing import Protocol

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, Session, User
from roost.access.principals import Grant, UserPrincipal
from roost.access.tokens import AccessTokens, invalid_token
from roost.core.database import Database

API_TOKEN_PREFIX = "rpat_"  # noqa: S105 - how a personal API token begins, not a token


_USER, _SESSION, _GRANT = User.__table__, Session.__table__, GrantRow.__table__
# Every request of a signed-in user asks this: in one statement, put together once, and of tables, not of objects.
_SESSION_WITH_GRANTS = (
    select(
        _USER.c.email, _USER.c.username, _USER.c.is_active, _SESSION.c.revoked_at,
        _GRANT.c.role, _GRANT.c.organization_id, _GRANT.c.home_id,
    )
    .select_from(
        _USER.join(_SESSION, _SESSION.c.user_id == _USER.c.id).outerjoin(_GRANT, _GRANT.c.user_id == _USER.c.id)
    )
    .where(_USER.c.id == bindparam("user_id"), _SESSION.c.id == bindparam("session_id"))
    .order_by(_GRANT.c.id)
)  # fmt: skip


class ApiTokenBook(Protocol):
    """Who knows personal API tokens."""

    async def authenticate(self, token: str) -> UserPrincipal:
        """The principal of an API token. Raises Unauthorized."""
        ...

    def ends_at_s(self, token: str) -> float:
        """When a token that was just authenticated ends, in seconds since 1970; infinity when it does not."""
        ...


class UserAuthentication:
    """Takes whatever a user may send as a bearer token."""

    def __init__(self, database: Database, tokens: AccessTokens, api_tokens: ApiTokenBook) -> None:
        self._database = database
        self._tokens = tokens
        self._api_tokens = api_tokens

    async def authenticate(self, token: str) -> UserPrincipal:
        """The principal of a token, with its grants as they are now. Raises Unauthorized.

        Never awaited within a write session: the first use of a token may have to wait for the database.
        """
        if token.startswith(API_TOKEN_PREFIX):
            return await self._api_tokens.authenticate(token)
        if token.startswith("rdt_"):
            raise invalid_token("This is a device token; this address needs a signed-in user.", code="wrong_token_kind")
        if token.startswith("rrt_"):
            raise invalid_token("This is a refresh token; exchange it at /auth/refresh.", code="wrong_token_kind")
        return await self._session_of(token)

    def ends_at_s(self, token: str) -> float:
        """When a token that is good now ends by itself, in seconds since 1970. Raises Unauthorized."""
        if token.startswith(API_TOKEN_PREFIX):
            return self._api_tokens.ends_at_s(token)
        return float(self._tokens.verify(token).expires_at_s)

    async def _session_of(self, token: str) -> UserPrincipal:
        claims = self._tokens.verify(token)
        asked = {"user_id": claims.user_id, "session_id": claims.session_id}
        rows = await self._database.rows(_SESSION_WITH_GRANTS, asked)
        if not rows or rows[0].revoked_at is not None or not rows[0].is_active:
            raise invalid_token("This session has ended; sign in again.", code="session_ended")
        grants = tuple(Grant(row.role, row.organization_id, row.home_id) for row in rows if row.role is not None)
        return UserPrincipal(claims.user_id, rows[0].email, rows[0].username, claims.session_id, grants)


async def grants_of(session: AsyncSession, user_id: int) -> tuple[Grant, ...]:
    """Every grant of the user, oldest first."""
    query = select(GrantRow.role, GrantRow.organization_id, GrantRow.home_id).where(GrantRow.user_id == user_id)
    rows = await session.execute(query.order_by(GrantRow.id))
    return tuple(Grant(row.role, row.organization_id, row.home_id) for row in rows)
