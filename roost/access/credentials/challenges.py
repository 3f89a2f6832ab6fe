"""Things begun that are finished once, soon, by whoever holds their secret. What is kept is the secret's digest."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.credentials.models import Challenge
from roost.core.clock import Clock
from roost.core.ids import token_digest


async def begin(
    session: AsyncSession,
    clock: Clock,
    *,
    purpose: str,
    secret: str,
    lifetime: timedelta,
    user_id: int | None = None,
    data: dict[str, Any] | None = None,
) -> Challenge:
    """Remember that this was begun; what has expired is cleared away on the occasion."""
    now = clock.now()
    await session.execute(delete(Challenge).where(Challenge.expires_at <= now))
    begun = Challenge(
        digest=token_digest(secret),
        purpose=purpose,
        user_id=user_id,
        data=data or {},
        created_at=now,
        expires_at=now + lifetime,
    )
    session.add(begun)
    await session.flush()
    return begun


async def find(session: AsyncSession, clock: Clock, purpose: str, secret: str) -> Challenge | None:
    """What was begun with this secret and can still be finished."""
    query = select(Challenge).where(Challenge.digest == token_digest(secret), Challenge.purpose == purpose)
    return await session.scalar(query.where(Challenge.expires_at > clock.now()))


async def take(session: AsyncSession, clock: Clock, purpose: str, secret: str) -> Challenge | None:
    """The same, and nobody can finish it again; of two who try at once one gets it."""
    query = delete(Challenge).where(Challenge.digest == token_digest(secret), Challenge.purpose == purpose)
    return await session.scalar(query.where(Challenge.expires_at > clock.now()).returning(Challenge))
