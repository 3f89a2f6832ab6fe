"""The registry for users: list, register, read, change, delete devices, and their tokens."""

from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.audit.log import Actor
from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import Conflict
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router, gather
from roost.devices import credentials, deeds, pairing_endpoints, registry, report_endpoints
from roost.devices.deeds import record_deed
from roost.devices.models import Device
from roost.devices.placement import place_new
from roost.devices.presence import Presence
from roost.devices.repository import DeviceFilter, get_device, list_devices
from roost.devices.schemas import DeviceCreate, DeviceCreated, DeviceRead, DeviceReplace, DeviceUpdate, TokenOut

Reader = Annotated[UserPrincipal, requires("devices:read")]
Writer = Annotated[UserPrincipal, requires("devices:write")]
Word = Annotated[str | None, Query(min_length=1, max_length=120)]

_devices = api_router("devices")


@_devices.get("/devices", responses=problem_responses(400, 401, 403))
async def read_devices(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Reader,
    session: ReadSession,
    page: Page,
    organization_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    room_id: Annotated[RowId | None, Query()] = None,
    status: Annotated[str | None, Query(min_length=1, max_length=16, description="Such as online or offline.")] = None,
    type: Word = None,  # noqa: A002 - the name of the query parameter
    tag: Word = None,
    q: Annotated[str | None, Query(min_length=1, max_length=120, description="Part of the name or the uid.")] = None,
) -> list[DeviceRead]:
    """The devices within the caller's reach, by id."""
    wanted = DeviceFilter(organization_id, home_id, room_id, status, type, tag, q)
    devices = await list_devices(session, principal, wanted, after_id=page.after_id, limit=page.limit + 1)
    return [_read(request, device) for device in page.cut(devices, lambda device: device.id)]


@_devices.post(
    "/devices", status_code=201, response_model=DeviceCreated, responses=problem_responses(401, 403, 404, 409)
)
async def register_device(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, wanted: DeviceCreate
) -> Response | DeviceCreated:
    """Register a device directly. Its token is in this answer and nowhere else."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    place = await place_new(
        session,
        principal,
        home_id=wanted.home_id,
        room_id=wanted.room_id,
        organization_id=wanted.organization_id,
    )
    device, token = await registry.register(
        session,
        request.app.state.clock,
        place,
        name=wanted.name,
        device_uid=wanted.device_uid,
        device_type=wanted.type,
        tags=wanted.tags,
    )
    record_deed(session, deeds.REGISTERED, Actor.of(principal), device, home_id=device.home_id)
    created = DeviceCreated(**_read(request, device).model_dump(), device_token=token)
    await idempotency.remember(session, created, secrets=["device_token"])
    return created


@_devices.get("/devices/{device_id}", responses=problem_responses(401, 403, 404))
async def read_device(request: Request, principal: Reader, session: ReadSession, device_id: RowId) -> DeviceRead:
    """One device."""
    return _read(request, await get_device(session, principal, device_id))


@_devices.put("/devices/{device_id}", responses=problem_responses(401, 403, 404, 409))
async def replace_device(
    request: Request, principal: Writer, session: WriteSession, device_id: RowId, wanted: DeviceReplace
) -> DeviceRead:
    """Set everything that a user may set; what is left out is emptied."""
    return await _change(request, principal, session, device_id, wanted)


@_devices.patch("/devices/{device_id}", responses=problem_responses(401, 403, 404, 409))
async def update_device(
    request: Request, principal: Writer, session: WriteSession, device_id: RowId, wanted: DeviceUpdate
) -> DeviceRead:
    """Change what is given, leave the rest."""
    return await _change(request, principal, session, device_id, wanted)


@_devices.delete("/devices/{device_id}", status_code=204, responses=problem_responses(401, 403, 404))
async def delete_device(principal: Writer, session: WriteSession, device_id: RowId) -> None:
    """Remove the device with its tokens, its log and what it has sent."""
    device = await registry.get_for_change(session, principal, device_id)
    record_deed(session, deeds.DELETED, Actor.of(principal), device)
    await registry.remove(session, device)


@_devices.post(
    "/devices/{device_id}/token",
    status_code=201,
    response_model=TokenOut,
    responses=problem_responses(401, 403, 404, 409),
)
async def rotate_device_token(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, device_id: RowId
) -> Response | TokenOut:
    """A new token. The one before stays good for ten minutes, or until the new one is first used."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    device = await registry.get_for_change(session, principal, device_id)
    if device.claimed_at is None:
        raise Conflict("The device has been released; pair it again instead.", code="not_claimed")
    token, until = await credentials.rotate(session, device, request.app.state.clock.now())
    record_deed(session, deeds.TOKEN_ROTATED, Actor.of(principal), device)
    answer = TokenOut(device_id=device.id, device_token=token, previous_valid_until=until)
    await idempotency.remember(session, answer, secrets=["device_token"])
    return answer


@_devices.delete("/devices/{device_id}/token", status_code=204, responses=problem_responses(401, 403, 404))
async def revoke_device_token(principal: Writer, session: WriteSession, device_id: RowId) -> None:
    """End every token of the device at once; its open connections are cut."""
    device = await registry.get_for_change(session, principal, device_id)
    await credentials.revoke(session, device)
    record_deed(session, deeds.TOKEN_REVOKED, Actor.of(principal), device)


async def _change(
    request: Request,
    principal: UserPrincipal,
    session: WriteSession,
    device_id: int,
    wanted: DeviceReplace | DeviceUpdate,
) -> DeviceRead:
    device = await registry.get_for_change(session, principal, device_id)
    before = {"home_id": device.home_id, "room_id": device.room_id}
    await registry.change(session, request.app.state.clock, principal, device, wanted)
    after = {"home_id": device.home_id, "room_id": device.room_id}
    if after != before:
        record_deed(session, deeds.MOVED, Actor.of(principal), device, before=before, after=after)
    return _read(request, device)


def _read(request: Request, device: Device) -> DeviceRead:
    presence: Presence = request.app.state.presence
    view = presence.view_of(device)
    assert device.organization_id is not None, "the repository gives out claimed devices only"  # noqa: S101
    return DeviceRead(
        id=device.id,
        device_uid=device.device_uid,
        name=device.name,
        type=device.type,
        organization_id=device.organization_id,
        home_id=device.home_id,
        room_id=device.room_id,
        tags=device.tags,
        firmware_version=device.firmware_version,
        capabilities=device.capabilities,
        status=view.status,
        status_reason=view.reason,
        status_cause=view.cause,
        last_seen_at=view.last_seen_at,
        claimed_at=device.claimed_at,
        created_at=device.created_at,
        updated_at=device.updated_at,
    )


# Pairing first, because /devices/whoami and /devices/hello must not be taken for ids.
router = gather([pairing_endpoints.router, report_endpoints.router, _devices])
