"""The whole installation, for its staff and for the programs that watch it."""

import importlib
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.ops import fleet
from roost.ops.fleet import House
from roost.ops.message_counts import MessageCounts
from roost.ops.overview import Installation
from roost.ops.overview_schemas import HouseDevices, HouseRead, Overview
from roost.ops.permissions import ensure_whole, metrics_reader

Watcher = Annotated[UserPrincipal, requires("ops:read")]

ops_router = api_router("operations", prefix="/ops")
metrics_router = api_router("operations", dependencies=[Depends(metrics_reader)])


async def _installation(request: Request) -> Installation:
    installation: Installation = request.app.state.installation
    return installation


TheInstallation = Annotated[Installation, Depends(_installation)]


@ops_router.get(
    "/overview",
    operation_id="get_overview",
    summary="How the whole installation is doing",
    responses=problem_responses(401, 403, 503),
)
async def get_overview(principal: Watcher, installation: TheInstallation) -> Overview:
    """Fleet, ingest, backlog, connections, storage and what failed lately, at most a second old."""
    ensure_whole(principal)
    return await installation.overview()


@ops_router.get(
    "/houses",
    operation_id="list_houses",
    summary="All homes with their figures",
    responses=problem_responses(400, 401, 403),
)
async def list_houses(
    request: Request,
    principal: Watcher,
    session: ReadSession,
    page: Page,
    *,
    organization_id: Annotated[RowId | None, Query(description="Homes of this organization only.")] = None,
    q: Annotated[str | None, Query(min_length=1, max_length=120, description="Part of the home's name.")] = None,
) -> list[HouseRead]:
    """Homes of every organization by id: devices, residents, when one was last heard, messages today."""
    houses = await fleet.list_houses(
        session, principal, organization_id=organization_id, words=q, after_id=page.after_id, limit=page.limit + 1
    )
    shown = page.cut(houses, lambda house: house.home.id)
    counts: MessageCounts = request.app.state.message_counts
    messages = await counts.today(session, [house.home.id for house in shown])
    return [_read(house, messages.get(house.home.id, 0)) for house in shown]


@metrics_router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text format"},
        **problem_responses(401, 403, 503),
    },
)
async def get_metrics(request: Request, installation: TheInstallation) -> Response:
    """Counters since the hub started, and how things stand; in OpenMetrics if the `Accept` header asks for it."""
    # Twelve megabytes that a hub which nobody scrapes need not carry.
    prometheus = importlib.import_module("roost.ops.prometheus")
    content_type, body = await prometheus.render(installation, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _read(house: House, messages_today: int) -> HouseRead:
    home, devices = house.home, house.devices
    return HouseRead(
        id=home.id,
        name=home.name,
        organization_id=home.organization_id,
        organization_name=house.organization_name,
        timezone=home.timezone,
        devices=HouseDevices(
            total=devices.total, online=devices.online, offline=devices.offline, never_seen=devices.never_seen
        ),
        rooms=house.rooms,
        residents=house.residents,
        last_seen_at=devices.last_seen_at,
        messages_today=messages_today,
        created_at=home.created_at,
    )
