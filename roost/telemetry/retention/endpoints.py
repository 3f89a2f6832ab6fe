"""Policies that say how long telemetry is kept: an organization's by its owners, the hub's by its administrators."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.repository import get_device
from roost.telemetry.retention import service
from roost.telemetry.retention.models import RetentionPolicy
from roost.telemetry.retention.repository import READ, WRITE, get_policy, list_policies, list_rules
from roost.telemetry.retention.rules import rules_for
from roost.telemetry.retention.schemas import (
    EffectiveRetention,
    RetentionPolicyCreate,
    RetentionPolicyRead,
    RetentionPolicyUpdate,
    RetentionRuleOut,
    ThenKeep,
)

router = api_router("retention")

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
TelemetryReader = Annotated[UserPrincipal, requires("telemetry:read")]


@router.get("/retention-policies", responses=problem_responses(400, 401, 403))
async def list_retention_policies(
    principal: Reader,
    session: ReadSession,
    page: Page,
    *,
    organization_id: Annotated[RowId | None, Query(description="Of this organization only.")] = None,
    of_hub: Annotated[bool, Query(description="Only those that count for the whole hub.")] = False,
) -> list[RetentionPolicyRead]:
    """Those of your organizations, by id; the whole hub's too for those whose reach is everywhere."""
    found = await list_policies(
        session, principal, organization_id=organization_id, of_hub=of_hub, after_id=page.after_id, limit=page.limit + 1
    )
    return [_read(policy) for policy in page.cut(found, lambda policy: policy.id)]


@router.post("/retention-policies", status_code=201, responses=problem_responses(401, 403, 404, 409))
async def create_retention_policy(
    request: Request, principal: Writer, session: WriteSession, wanted: RetentionPolicyCreate
) -> RetentionPolicyRead:
    """The most specific policy counts: an organization's before the hub's, one about a series before one about all."""
    return _read(await service.create(session, request.app.state.clock, principal, wanted))


@router.get("/retention-policies/effective", responses=problem_responses(401, 403, 404))
async def read_effective_retention(
    principal: TelemetryReader,
    session: ReadSession,
    device_id: Annotated[RowId, Query(description="For this device.")],
) -> EffectiveRetention:
    """For how long what a device sends is kept, and by which policy."""
    device = await get_device(session, principal, device_id, "telemetry:read")
    rules = rules_for(await list_rules(session), device.organization_id, device.type)
    last = rules[-1] if rules and rules[-1].key_pattern is None else None
    return EffectiveRetention(
        device_id=device.id,
        rules=[RetentionRuleOut.of(rule) for rule in rules],
        events_keep_days=None if last is None else last.keep_days,
    )


@router.get("/retention-policies/{policy_id}", responses=problem_responses(401, 403, 404))
async def read_retention_policy(principal: Reader, session: ReadSession, policy_id: RowId) -> RetentionPolicyRead:
    """One policy."""
    return _read(await get_policy(session, principal, policy_id))


@router.patch("/retention-policies/{policy_id}", responses=problem_responses(401, 403, 404))
async def update_retention_policy(
    request: Request, principal: Writer, session: WriteSession, policy_id: RowId, wanted: RetentionPolicyUpdate
) -> RetentionPolicyRead:
    """Keep for longer, or shorter, and other buckets. What is deleted by then does not come back."""
    return _read(await service.change(session, request.app.state.clock, principal, policy_id, wanted))


@router.delete("/retention-policies/{policy_id}", status_code=204, responses=problem_responses(401, 403, 404))
async def delete_retention_policy(principal: Writer, session: WriteSession, policy_id: RowId) -> None:
    """What is less specific counts again; where there is nothing, everything is kept."""
    await service.remove(session, principal, policy_id)


def _read(policy: RetentionPolicy) -> RetentionPolicyRead:
    return RetentionPolicyRead(
        id=policy.id,
        organization_id=policy.organization_id,
        device_type=policy.device_type,
        key_pattern=policy.key_pattern,
        keep_days=policy.keep_days,
        then_keep=ThenKeep.of(policy.coarse_bucket_s, policy.coarse_days),
        created_at=policy.created_at,
        updated_at=policy.updated_at,
    )
