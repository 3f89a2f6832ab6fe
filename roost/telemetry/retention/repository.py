"""Policies in the database, each read from what the caller may see."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.principals import UserPrincipal, visible_to
from roost.core.errors import NotFound
from roost.telemetry.retention.models import RetentionPolicy
from roost.telemetry.retention.rules import Rule

READ, WRITE = "organization:read", "organization:write"


async def list_policies(
    session: AsyncSession,
    principal: UserPrincipal,
    *,
    organization_id: int | None,
    of_hub: bool,
    after_id: int,
    limit: int,
) -> Sequence[RetentionPolicy]:
    """Those of the organizations in reach, by id, and the hub's for those whose reach is everywhere."""
    query = select(RetentionPolicy).where(
        visible_to(principal, READ, organization=RetentionPolicy.organization_id), RetentionPolicy.id > after_id
    )
    if organization_id is not None:
        query = query.where(RetentionPolicy.organization_id == organization_id)
    if of_hub:
        query = query.where(RetentionPolicy.organization_id.is_(None))
    return (await session.scalars(query.order_by(RetentionPolicy.id).limit(limit))).all()


async def get_policy(
    session: AsyncSession, principal: UserPrincipal, policy_id: int, *, lock: bool = False
) -> RetentionPolicy:
    """Raises NotFound for one that the caller may not see."""
    query = select(RetentionPolicy).where(
        RetentionPolicy.id == policy_id, visible_to(principal, READ, organization=RetentionPolicy.organization_id)
    )
    policy = await session.scalar(query.with_for_update() if lock else query)
    if policy is None:
        raise NotFound(f"There is no retention policy {policy_id}.", code="retention_policy_not_found")
    return policy


async def list_rules(session: AsyncSession) -> list[Rule]:
    """Every policy there is, for whoever applies them."""
    columns = (
        RetentionPolicy.id, RetentionPolicy.organization_id, RetentionPolicy.device_type, RetentionPolicy.key_pattern,
        RetentionPolicy.keep_days, RetentionPolicy.coarse_bucket_s, RetentionPolicy.coarse_days,
    )  # fmt: skip
    return [
        Rule(*row[:5], None if row.coarse_bucket_s is None else row.coarse_bucket_s * 1000, row.coarse_days)
        for row in (await session.execute(select(*columns))).all()
    ]
