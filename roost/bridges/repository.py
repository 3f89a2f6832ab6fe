"""Bridges in the database, each read from what the caller may see."""

from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.principals import UserPrincipal, visible_to
from roost.bridges.models import Bridge, BridgedDevice
from roost.core.errors import NotFound

READ, WRITE = "organization:read", "organization:write"


async def list_bridges(
    session: AsyncSession, principal: UserPrincipal, *, organization_id: int | None, after_id: int, limit: int
) -> Sequence[Bridge]:
    """Those of the organizations in reach, by id."""
    query = select(Bridge).where(
        visible_to(principal, READ, organization=Bridge.organization_id),
        Bridge.ended_at.is_(None),
        Bridge.id > after_id,
    )
    if organization_id is not None:
        query = query.where(Bridge.organization_id == organization_id)
    return (await session.scalars(query.order_by(Bridge.id).limit(limit))).all()


async def get_bridge(session: AsyncSession, principal: UserPrincipal, bridge_id: int, *, lock: bool = False) -> Bridge:
    """Raises NotFound for one that the caller may not see, or that has been ended."""
    reach = visible_to(principal, READ, organization=Bridge.organization_id)
    query = select(Bridge).where(Bridge.id == bridge_id, Bridge.ended_at.is_(None), reach)
    bridge = await session.scalar(query.with_for_update() if lock else query)
    if bridge is None:
        raise NotFound(f"There is no bridge {bridge_id}.", code="bridge_not_found")
    return bridge


async def count_bridges(session: AsyncSession, organization_id: int) -> int:
    """How many an organization has."""
    query = select(func.count()).select_from(Bridge)
    return await session.scalar(query.where(Bridge.organization_id == organization_id, Bridge.ended_at.is_(None))) or 0


async def count_heard(session: AsyncSession, bridge_ids: Iterable[int]) -> dict[int, int]:
    """How many devices were heard through each of these; those through which none was are missing."""
    query = select(BridgedDevice.bridge_id, func.count()).where(
        BridgedDevice.bridge_id.in_(sorted(bridge_ids)), BridgedDevice.heard
    )
    rows = await session.execute(query.group_by(BridgedDevice.bridge_id))
    return {row[0]: row[1] for row in rows}
