"""Bridges for users: an organization's owners say which brokers the hub speaks with."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.bridges.mapping import Unmappable, map_message
from roost.bridges.models import Bridge
from roost.bridges.repository import READ, WRITE, count_heard, get_bridge, list_bridges
from roost.bridges.schemas import BridgeCreate, BridgeRead, BridgeUpdate, MessageRead, MessageTried, SourceIn
from roost.bridges.service import BridgeDesk
from roost.core.clock import Clock, from_ms
from roost.core.database import ReadSession, WriteSession
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.telemetry.decode import decode
from roost.telemetry.refusals import Refusal

router = api_router("bridges")

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
# What the row and the answer call the same.
_SHARED = frozenset(BridgeRead.model_fields) - {"has_password", "sources", "devices"}


@router.get("/bridges", responses=problem_responses(400, 401, 403))
async def read_bridges(
    principal: Reader,
    session: ReadSession,
    page: Page,
    organization_id: Annotated[RowId | None, Query(description="Of this organization only.")] = None,
) -> list[BridgeRead]:
    """Those of your organizations, by id."""
    found = await list_bridges(
        session, principal, organization_id=organization_id, after_id=page.after_id, limit=page.limit + 1
    )
    shown = page.cut(found, lambda bridge: bridge.id)
    heard = await count_heard(session, [bridge.id for bridge in shown])
    return [_read(bridge, heard.get(bridge.id, 0)) for bridge in shown]


@router.post("/bridges", status_code=201, responses=problem_responses(401, 403, 404, 409))
async def create_bridge(request: Request, principal: Writer, session: WriteSession, wanted: BridgeCreate) -> BridgeRead:
    """Connect the hub to another MQTT broker. Its password is kept encrypted and never shown."""
    return _read(await _desk(request).create(session, principal, wanted), 0)


@router.post("/bridges/try", responses=problem_responses(401, 403))
async def try_bridge_sources(request: Request, principal: Writer, tried: MessageTried) -> MessageRead:  # noqa: ARG001
    """What would become of a message of the broker, without a broker. Nothing is stored."""
    clock: Clock = request.app.state.clock
    sources = tuple(source.source() for source in tried.sources)
    device_uid = None
    try:
        mapped = map_message(sources, tried.topic, tried.payload.encode(errors="replace"))
        device_uid = mapped.device_uid
        message = decode("telemetry", mapped.body, clock.now_ms())[0]
    except (Unmappable, Refusal) as error:
        return MessageRead(device_uid=device_uid, event_type=None, readings={}, observed_at=None, reason=str(error))
    return MessageRead(
        device_uid=device_uid, event_type=message.event_type, readings=message.readings,
        observed_at=from_ms(message.observed_at), reason=None,
    )  # fmt: skip


@router.get("/bridges/{bridge_id}", responses=problem_responses(401, 403, 404))
async def read_bridge(principal: Reader, session: ReadSession, bridge_id: RowId) -> BridgeRead:
    """One bridge and how it is doing."""
    bridge = await get_bridge(session, principal, bridge_id)
    return _read(bridge, (await count_heard(session, [bridge_id])).get(bridge_id, 0))


@router.patch("/bridges/{bridge_id}", responses=problem_responses(401, 403, 404))
async def update_bridge(
    request: Request, principal: Writer, session: WriteSession, bridge_id: RowId, wanted: BridgeUpdate
) -> BridgeRead:
    """Change what is given, leave the rest. Another broker needs the password again."""
    bridge = await _desk(request).change(session, principal, bridge_id, wanted)
    return _read(bridge, (await count_heard(session, [bridge_id])).get(bridge_id, 0))


@router.delete("/bridges/{bridge_id}", status_code=204, responses=problem_responses(401, 403, 404))
async def delete_bridge(request: Request, principal: Writer, session: WriteSession, bridge_id: RowId) -> None:
    """Take nothing more from the broker; what was announced there is taken back. Devices and their data stay."""
    await _desk(request).remove(session, principal, bridge_id)


def _desk(request: Request) -> BridgeDesk:
    desk: BridgeDesk = request.app.state.bridge_desk
    return desk


def _read(bridge: Bridge, heard: int) -> BridgeRead:
    return BridgeRead(
        **{name: getattr(bridge, name) for name in _SHARED},
        has_password=bridge.sealed_password is not None,
        sources=[SourceIn.model_validate(source) for source in bridge.sources],
        devices=heard,
    )
