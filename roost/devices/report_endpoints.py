"""What devices say about themselves, and what their owners read of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Body, Depends, Query
from starlette.requests import Request

from roost.access.principals import UserPrincipal
from roost.core.clock import from_ms, parse_time
from roost.core.errors import Conflict, Forbidden, Invalid, TooMany
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices import registry
from roost.devices.dependencies import CurrentDevice, device_or_user
from roost.devices.identity import DeviceIdentity
from roost.devices.logs import LEVELS, DeviceLogs
from roost.devices.models import Device, LogLevel
from roost.devices.placement import WRITE
from roost.devices.ports import PendingWork
from roost.devices.presence import Presence
from roost.devices.reach import check_own, ensure_visible
from roost.devices.repository import LogFilter, find_own, list_logs
from roost.devices.schemas import (
    LOG_LINES_LIMIT,
    Heartbeat,
    HeartbeatOut,
    LogLineIn,
    LogLineOut,
    LogsAccepted,
    StatusIn,
    StatusOut,
    WhoAmI,
)
from roost.devices.shadow.service import Shadows

router = api_router("devices")

Reader = Annotated[DeviceIdentity | UserPrincipal, device_or_user("devices:read")]
Writer = Annotated[DeviceIdentity | UserPrincipal, device_or_user(WRITE)]
_TIME = "RFC 3339 or integer milliseconds since 1970, by the device's clock."


async def _wanted_lines(
    level: Annotated[LogLevel | None, Query(description="This level and the more serious ones.")] = None,
    source: Annotated[Literal["device", "hub"] | None, Query(description="Who wrote it.")] = None,
    q: Annotated[
        str | None, Query(min_length=1, max_length=120, description="Part of the text, in either case.")
    ] = None,
    from_: Annotated[str | None, Query(alias="from", max_length=40, description=f"Start, included; {_TIME}")] = None,
    to: Annotated[str | None, Query(max_length=40, description=f"End, not included; {_TIME}")] = None,
) -> LogFilter:
    levels = LEVELS[LEVELS.index(level) :] if level is not None else None
    return LogFilter(levels, source, q, _moment(from_, "from"), _moment(to, "to"))


def _moment(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        return from_ms(parse_time(text.replace(" ", "+")))
    except ValueError:
        detail = f"`{name}` must be {_TIME}"
        raise Invalid(detail, errors=[{"pointer": f"/query/{name}", "detail": detail}]) from None


WantedLines = Annotated[LogFilter, Depends(_wanted_lines)]
LogLines = Annotated[list[LogLineIn], Body(min_length=1, max_length=LOG_LINES_LIMIT)]


@router.get("/devices/whoami", responses=problem_responses(401))
async def who_am_i(request: Request, identity: CurrentDevice) -> WhoAmI:
    """The device itself, as the hub knows it."""
    state = request.app.state
    device = await ensure_visible(state.database, identity, identity.device_id)
    return WhoAmI(
        device_id=device.id,
        device_uid=device.device_uid,
        name=device.name,
        type=device.type,
        organization_id=identity.organization_id,
        home_id=device.home_id,
        room_id=device.room_id,
        firmware_version=device.firmware_version,
        status=state.presence.view_of(device).status,
        server_time=state.clock.now(),
    )


@router.post("/devices/{device_id}/heartbeat", responses=problem_responses(401, 403, 404, 409))
async def send_heartbeat(
    request: Request, caller: Writer, device_id: RowId, beat: Heartbeat | None = None
) -> HeartbeatOut:
    """The device is there. Answers with the hub's time and how much work waits for it."""
    state = request.app.state
    presence: Presence = state.presence
    work: PendingWork = state.pending_work
    shadows: Shadows = state.shadows
    device = await ensure_visible(state.database, caller, device_id)
    if isinstance(caller, UserPrincipal):
        if not caller.can(WRITE, device.organization_id, device.home_id):
            raise Forbidden(f"You may look at device {device_id}, but not change it.", code="missing_scope")
        if device.claimed_at is None:
            raise Conflict("The device has been released; pair it again first.", code="not_claimed")
    presence.seen(device_id, state.clock.now_ms())
    if beat is not None and beat.status is not None:
        presence.reported(device_id, beat.status, beat.detail)
    await presence.settled()
    if beat is not None and beat.firmware_version not in {None, device.firmware_version}:
        async with state.database.write() as session:
            row = await find_own(session, device_id)
            if row is not None:
                await registry.note_firmware(session, state.clock, row, str(beat.firmware_version))
    view = presence.view(device_id)
    return HeartbeatOut(
        device_id=device_id,
        status=view.status,
        last_seen_at=view.last_seen_at,
        server_time=state.clock.now(),
        pending={**await work.pending(device_id), **await shadows.pending(device_id)},
    )


@router.get("/devices/{device_id}/status", responses=problem_responses(401, 403, 404))
async def read_device_status(request: Request, caller: Reader, device_id: RowId) -> StatusOut:
    """Whether the device is there, since when, and why not."""
    state = request.app.state
    return _status(state.presence, await ensure_visible(state.database, caller, device_id))


@router.post("/devices/{device_id}/status", responses=problem_responses(401, 404))
async def report_device_status(
    request: Request, identity: CurrentDevice, device_id: RowId, report: StatusIn
) -> StatusOut:
    """The device says how it is, `offline` before it goes to sleep included."""
    state = request.app.state
    check_own(identity, device_id)
    state.presence.reported(device_id, report.status, report.detail)
    await state.presence.settled()
    return _status(state.presence, await ensure_visible(state.database, identity, device_id))


@router.get("/devices/{device_id}/logs", responses=problem_responses(400, 401, 403, 404))
async def read_device_logs(
    request: Request, caller: Reader, device_id: RowId, page: Page, wanted: WantedLines
) -> list[LogLineOut]:
    """What the device wrote, and what the hub wrote about it, the last to come first."""
    state = request.app.state
    await ensure_visible(state.database, caller, device_id)
    async with state.database.read() as session:
        lines = await list_logs(session, device_id, wanted, before_id=page.after_id or None, limit=page.limit + 1)
    return [
        LogLineOut(
            id=line.id,
            timestamp=line.observed_at,
            received_at=line.received_at,
            level=line.level,
            source=line.source,
            message=line.message,
        )
        for line in page.cut(lines, lambda line: line.id)
    ]


@router.post("/devices/{device_id}/logs", status_code=201, responses=problem_responses(401, 404, 429, 507))
async def write_device_logs(
    request: Request, identity: CurrentDevice, device_id: RowId, lines: LogLineIn | LogLines
) -> LogsAccepted:
    """One line or up to 100, all or none. They are on disk when the answer comes."""
    check_own(identity, device_id)
    logs: DeviceLogs = request.app.state.device_logs
    batch: Sequence[LogLineIn] = lines if isinstance(lines, list) else [lines]
    logs.ensure_room()
    if logs.room(device_id) < len(batch):
        raise TooMany("The device has written too many lines in this minute; the rest has to wait.", retry_after_s=60)
    for line in batch:
        logs.write(device_id, line.level, line.message, source="device", at=line.timestamp)
    await logs.flush()
    return LogsAccepted(stored=len(batch))


def _status(presence: Presence, device: Device) -> StatusOut:
    view = presence.view_of(device)
    return StatusOut(
        device_id=device.id,
        status=view.status,
        since=view.since,
        last_seen_at=view.last_seen_at,
        reason=view.reason,
        cause=view.cause,
        transports=list(view.transports),
    )
