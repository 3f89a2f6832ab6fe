"""Health over HTTP."""

from typing import Annotated

from pydantic import BaseModel, Field
from starlette.requests import Request

from roost.access.principals import UserPrincipal
from roost.core.ids import RowId
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.dependencies import device_or_user
from roost.devices.health.judgement import Health, Name, State, judge, verdict
from roost.devices.health.service import HealthFacts
from roost.devices.identity import DeviceIdentity
from roost.devices.reach import ensure_visible
from roost.devices.schemas import Time

router = api_router("devices")

Reader = Annotated[DeviceIdentity | UserPrincipal, device_or_user("devices:read")]


class CheckOut(BaseModel):
    name: Name
    state: State
    detail: str = Field(description="A sentence.")
    value: float | None = Field(description="What decided, if it is a number.")
    unit: str | None


class HealthOut(BaseModel):
    device_id: int
    health: Health = Field(description="poor: something is critical; fair: there are warnings; unknown: never heard.")
    reasons: list[str] = Field(description="What is wrong, in sentences, the worst first; empty when nothing is.")
    checks: list[CheckOut]
    checked_at: Time


@router.get("/devices/{device_id}/health", responses=problem_responses(401, 403, 404))
async def read_device_health(request: Request, caller: Reader, device_id: RowId) -> HealthOut:
    """How the device is doing: presence, signal, battery, errors, telemetry, firmware, and why."""
    state = request.app.state
    device = await ensure_visible(state.database, caller, device_id)
    gatherer: HealthFacts = state.device_health
    facts = await gatherer.gather(device)
    checks = judge(facts)
    wrong = [check for check in checks if check.state in {"critical", "warning"}]
    return HealthOut(
        device_id=device_id,
        health=verdict(checks),
        reasons=[check.detail for check in sorted(wrong, key=lambda check: check.state != "critical")],
        checks=[
            CheckOut(name=check.name, state=check.state, detail=check.detail, value=check.value, unit=check.unit)
            for check in checks
        ],
        checked_at=facts.now,
    )
