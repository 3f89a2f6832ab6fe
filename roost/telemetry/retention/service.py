"""What people do with policies of retention; all of it goes into the audit log."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.organizations.repository import get_organization_with
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden
from roost.telemetry.retention.models import RetentionPolicy, place_of
from roost.telemetry.retention.repository import WRITE, get_policy
from roost.telemetry.retention.schemas import RetentionPolicyCreate, RetentionPolicyUpdate


async def create(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, wanted: RetentionPolicyCreate
) -> RetentionPolicy:
    """A new policy. Raises NotFound, Forbidden, Conflict when there is one about the same."""
    if wanted.organization_id is not None:
        await get_organization_with(session, principal, wanted.organization_id, WRITE)
    else:
        _ensure_everywhere(principal)
    place = place_of(wanted.organization_id, wanted.device_type, wanted.key_pattern)
    there = await session.scalar(select(RetentionPolicy.id).where(RetentionPolicy.place == place))
    if there is not None:
        raise _twice()
    now = clock.now()
    policy = RetentionPolicy(
        organization_id=wanted.organization_id, device_type=wanted.device_type, key_pattern=wanted.key_pattern,
        keep_days=wanted.keep_days, place=place, created_at=now, updated_at=now,
        coarse_bucket_s=None if wanted.then_keep is None else wanted.then_keep.bucket_s,
        coarse_days=None if wanted.then_keep is None else wanted.then_keep.for_days,
    )  # fmt: skip
    session.add(policy)
    try:
        await session.flush()
    except IntegrityError:
        raise _twice() from None
    record(session, _deed("retention_policy.created", principal, policy))
    return policy


async def change(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, policy_id: int, wanted: RetentionPolicyUpdate
) -> RetentionPolicy:
    """Another number of days, other buckets. Raises NotFound, Forbidden."""
    policy = await _own(session, principal, policy_id)
    before = _said(policy)
    policy.keep_days = wanted.keep_days
    if "then_keep" in wanted.model_fields_set or wanted.keep_days is None:
        policy.coarse_bucket_s = None if wanted.then_keep is None else wanted.then_keep.bucket_s
        policy.coarse_days = None if wanted.then_keep is None else wanted.then_keep.for_days
    if _said(policy) != before:
        policy.updated_at = clock.now()
        record(session, _deed("retention_policy.changed", principal, policy, before=before))
    return policy


async def remove(session: AsyncSession, principal: UserPrincipal, policy_id: int) -> None:
    """What is less specific counts again. Raises NotFound, Forbidden."""
    policy = await _own(session, principal, policy_id)
    record(session, _deed("retention_policy.deleted", principal, policy))
    await session.delete(policy)


async def _own(session: AsyncSession, principal: UserPrincipal, policy_id: int) -> RetentionPolicy:
    policy = await get_policy(session, principal, policy_id, lock=True)
    if policy.organization_id is None:
        _ensure_everywhere(principal)
    elif not principal.can(WRITE, policy.organization_id):
        raise Forbidden(f"In this organization your role does not include {WRITE}.", code="missing_scope")
    return policy


def _ensure_everywhere(principal: UserPrincipal) -> None:
    if not principal.can(WRITE, None):
        raise Forbidden(
            "What counts for the whole hub is for its administrators; name your organization_id.", code="missing_scope"
        )


def _twice() -> Conflict:
    return Conflict("There is a policy about the same already; change that one.", code="retention_policy_exists")


def _said(policy: RetentionPolicy) -> dict[str, object]:
    """For how long it keeps, for the audit log."""
    said: dict[str, object] = {"keep_days": policy.keep_days}
    if policy.coarse_bucket_s is not None:
        said["then_keep"] = {"bucket_s": policy.coarse_bucket_s, "for_days": policy.coarse_days}
    return said


def _deed(action: str, principal: UserPrincipal, policy: RetentionPolicy, **details: object) -> Deed:
    said = {"device_type": policy.device_type, "key_pattern": policy.key_pattern, **_said(policy)}
    return Deed(
        action,
        Actor.of(principal),
        organization_id=policy.organization_id,
        object_kind="retention_policy",
        object_id=policy.id,
        details=said | details,
    )
