"""From an access token to the user behind it, for every transport."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, Session, User
from roost.access.principals import Grant, UserPrincipal
from roost.access.tokens import AccessTokens, invalid_token
from roost.core.database import Database


async def authenticate(database: Database, tokens: AccessTokens, token: str) -> UserPrincipal:
    """The principal of an access token, with its grants as they are now. Raises Unauthorized."""
    if token.startswith("rdt_"):
        raise invalid_token("This is a device token; this address needs a signed-in user.", code="wrong_token_kind")
    if token.startswith("rrt_"):
        raise invalid_token("This is a refresh token; exchange it at /auth/refresh.", code="wrong_token_kind")
    claims = tokens.verify(token)
    async with database.read() as session:
        query = select(User.id, User.email, User.username, User.is_active, Session.revoked_at)
        query = query.join(Session, Session.user_id == User.id)
        row = (await session.execute(query.where(User.id == claims.user_id, Session.id == claims.session_id))).first()
        if row is None or row.revoked_at is not None or not row.is_active:
            raise invalid_token("This session has ended; sign in again.", code="session_ended")
        grants = await grants_of(session, row.id)
    return UserPrincipal(row.id, row.email, row.username, claims.session_id, grants)


async def grants_of(session: AsyncSession, user_id: int) -> tuple[Grant, ...]:
    """Every grant of the user, oldest first."""
    query = select(GrantRow.role, GrantRow.organization_id, GrantRow.home_id).where(GrantRow.user_id == user_id)
    rows = await session.execute(query.order_by(GrantRow.id))
    return tuple(Grant(row.role, row.organization_id, row.home_id) for row in rows)
