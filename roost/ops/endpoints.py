"""How the hub and its machine are doing: health for everybody, the system for whoever may look."""

from typing import Annotated

from fastapi import Depends, Query, Request

from roost.core.errors import Unavailable
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.ops.permissions import system_reader
from roost.ops.schemas import Health, Liveness, Metrics, Readiness, Temperature, Version
from roost.ops.service import Host

health_router = api_router("health")
system_router = api_router(
    "system", prefix="/system", dependencies=[Depends(system_reader)], responses=problem_responses(401, 403)
)


async def _host(request: Request) -> Host:
    host: Host = request.app.state.host
    return host


CurrentHost = Annotated[Host, Depends(_host)]


@health_router.get("/health")
async def health(host: CurrentHost) -> Liveness:
    """Whether the hub's process answers; always open."""
    return host.liveness()


@health_router.get("/healthz")
async def healthz(host: CurrentHost) -> Liveness:
    """The same under the name that orchestrators ask for."""
    return host.liveness()


@health_router.get("/readyz", responses=problem_responses(503))
async def readyz(host: CurrentHost) -> Readiness:
    """Whether the hub can do its work: database, telemetry log, disk space, clock. 503 names what is missing."""
    checks = await host.readiness()
    failing = {name: check.detail for name, check in checks.items() if not check.ok}
    if failing:
        refusal = Unavailable(
            " ".join(f"{name}: {detail}" for name, detail in failing.items()), code="not_ready", retry_after_s=5
        )
        refusal.errors = [{"pointer": f"/checks/{name}", "detail": detail} for name, detail in failing.items()]
        raise refusal
    return Readiness(checks=checks)


@system_router.get("/health")
async def system_health() -> Health:
    """Whether the hub answers whoever may see the system."""
    return Health()


@system_router.get("/temp")
async def system_temperature(host: CurrentHost) -> Temperature:
    """The processor's temperature in °C and the Raspberry Pi's throttling flags; null where there is no sensor."""
    return await host.temperature()


@system_router.get("/metrics", responses=problem_responses(503))
async def system_metrics(
    host: CurrentHost,
    sample_ms: Annotated[int, Query(ge=0, le=2000, description="Sampling window in ms; 0: since the last.")] = 200,
    top_n: Annotated[int, Query(ge=0, le=20, description="How many of the busiest processes to list.")] = 5,
) -> Metrics:
    """Processor, memory, disk, load, network, temperature and the busiest processes of this machine."""
    return await host.metrics(sample_ms, top_n)


@system_router.get("/version")
async def system_version(host: CurrentHost) -> Version:
    """Which version of what runs here."""
    return host.version()
