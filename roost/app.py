"""The hub as one ASGI application: its routes, and what stands before them.

`uvicorn roost.app:app` and `roost run` serve the same application; all of it, the MQTT listener too, lives in its
lifespan (`rooms.py`).
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

import roost
from roost.access import endpoints as access_endpoints
from roost.access.audit import endpoints as audit_endpoints
from roost.access.audit.refusals import Refusals
from roost.access.credentials import endpoints as credential_endpoints
from roost.access.organizations import endpoints as organization_endpoints
from roost.access.organizations import invitation_endpoints
from roost.access.users import admin_endpoints
from roost.access.users import endpoints as user_endpoints
from roost.bridges import endpoints as bridge_endpoints
from roost.bridges.thingsboard import thingsboard_routes
from roost.core import logging as logs
from roost.core import pages, problems
from roost.core.clock import SystemClock
from roost.core.http import PREFIX, BodyGuard, Cors, Edge, TwinPaths
from roost.core.settings import Settings
from roost.devices import endpoints as device_endpoints
from roost.devices import transfer_endpoints
from roost.devices.health import endpoints as health_endpoints
from roost.devices.shadow import endpoints as shadow_endpoints
from roost.live import endpoints as live_endpoints
from roost.mqtt.websocket import mqtt_websocket
from roost.ops import endpoints as ops_endpoints
from roost.ops import overview_endpoints
from roost.ops.tracing import TracedRequests, tracing_for
from roost.ops.traffic import Traffic, TrafficCounter
from roost.parts import Part
from roost.places import endpoints as place_endpoints
from roost.places import profile_endpoints
from roost.rooms import lifespan
from roost.tasks import endpoints as task_endpoints
from roost.telemetry import analytics_endpoints
from roost.telemetry import endpoints as telemetry_endpoints
from roost.telemetry.ingest_endpoints import ingest_routes
from roost.telemetry.openapi import ingest_paths
from roost.telemetry.retention import endpoints as retention_endpoints
from roost.telemetry.transfer import endpoints as transfer_files

Announce = Callable[[str], None]


def create_app(
    settings: Settings | None = None, *, announce: Announce | None = None, part: Part = Part.EVERYTHING
) -> FastAPI:
    """The application for these settings (by default those of the environment).

    `announce` shows a line to whoever started the hub: the administrator's first password. It goes to standard output
    by default, and never into a log.
    """
    chosen = settings or Settings()
    clock = SystemClock()
    traffic, refusals, tracing = Traffic(clock), Refusals(), tracing_for(chosen)
    app = FastAPI(
        title="Roost",
        version=roost.__version__,
        description="A self-hosted hub for devices: they join, speak over MQTT or HTTP, and someone sees it.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(Edge, on_refusal=refusals),
            *([Middleware(TracedRequests, tracing=tracing)] if tracing else []),
            Middleware(TrafficCounter, traffic=traffic),
            Middleware(Cors, origins=chosen.cors_origins),
            Middleware(TwinPaths),
            Middleware(BodyGuard),
        ],
    )
    app.state.settings = chosen
    app.state.clock = clock
    app.state.traffic = traffic
    app.state.tracing = tracing
    app.state.refusals = refusals
    app.state.announce = announce or _print_line
    app.state.part = part
    problems.install(app)
    if part & Part.API:
        _add_routes(app)
    else:
        _add_health_routes(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def __getattr__(name: str) -> Any:
    # Made when asked for, so that importing this module reads no settings.
    if name == "app":
        made = globals()["app"] = create_app()
        logs.configure(made.state.settings.effective_log_level)
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _add_routes(app: FastAPI) -> None:
    # First the hot ones: routes are tried in order.
    app.router.routes.extend(ingest_routes(PREFIX))
    if app.state.settings.thingsboard_http:
        app.router.routes.extend(thingsboard_routes(PREFIX))
    for router in (
        access_endpoints.router,
        credential_endpoints.router,
        place_endpoints.router,
        # Before the users, because /users/me must not be taken for an id.
        profile_endpoints.router,
        user_endpoints.router,
        admin_endpoints.router,
        organization_endpoints.router,
        invitation_endpoints.router,
        transfer_endpoints.router,
        telemetry_endpoints.router,
        analytics_endpoints.router,
        transfer_files.router,
        retention_endpoints.router,
        task_endpoints.router,
        device_endpoints.router,
        shadow_endpoints.router,
        health_endpoints.router,
        bridge_endpoints.router,
        audit_endpoints.router,
        ops_endpoints.health_router,
        ops_endpoints.system_router,
        overview_endpoints.ops_router,
        overview_endpoints.metrics_router,
        live_endpoints.router,
    ):
        app.router.routes.extend(router.routes)
    app.add_api_websocket_route("/mqtt", mqtt_websocket)
    pages.install(app)


def _add_health_routes(app: FastAPI) -> None:
    """What whoever runs a process without an API asks it."""
    for router in (ops_endpoints.health_router, overview_endpoints.metrics_router):
        app.router.routes.extend(router.routes)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path, operations in ingest_paths(PREFIX).items():
            schema["paths"].setdefault(path, {}).update(operations)
        app.openapi_schema = problems.document_problems(schema)
    return app.openapi_schema


def _print_line(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - meant for whoever started the process
