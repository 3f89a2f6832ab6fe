"""Telemetry as a file, out of the hub and in, within the caller's reach."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import StreamingResponse

from roost.access.audit.log import Actor, Deed
from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.database import ReadSession
from roost.core.disk import DiskGuard
from roost.core.errors import Invalid
from roost.core.ids import RowId
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.repository import get_device, list_ids
from roost.telemetry.answers import bucket_headers, buckets_before, reading_the_log
from roost.telemetry.parameters import SensorTypes, TimeSpan
from roost.telemetry.retention.history import History
from roost.telemetry.spans import Span
from roost.telemetry.transfer.schemas import ImportOut, RefusedLine
from roost.telemetry.transfer.service import READ, WRITE, Transfers
from roost.telemetry.transfer.wanted import MEDIA_TYPES, Events, Format, Position, Readings, What

router = api_router("telemetry")

Reader = Annotated[UserPrincipal, requires(READ)]
# What a device holds is changed by those who may change the device: whoever runs it brings its history along.
Writer = Annotated[UserPrincipal, requires(WRITE)]
FileFormat = Annotated[Format, Query(description="CSV, one JSON object a line, Parquet, or an Arrow stream.")]
DeviceIds = Annotated[list[RowId] | None, Query(max_length=100, description="Only these devices.")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, as long as it is. One that breaks off ends without the last, empty chunk.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
    }
}

_LINE = {"device_uid": "greenhouse-1", "sensor_type": "temp_c", "time": "2026-01-31T12:00:00Z", "value": 21.5}
_LINES = {
    "requestBody": {
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string"}, "example": json.dumps(_LINE)}},
    }
}


async def _wanted(  # noqa: PLR0917 - FastAPI calls it by keyword
    span: TimeSpan,
    sensor_type: SensorTypes,
    format: FileFormat = "csv",  # noqa: A002 - the name of the query parameter
    what: Annotated[What, Query(description="Readings, a row each; or events, as they were sent.")] = "readings",
    event_type: Annotated[str | None, Query(max_length=64, description="Only this type of event.")] = None,
    resume: Annotated[
        str | None,
        Query(
            max_length=80,
            description="Go on after what you have. Readings: device_id and time of its last row, and how many of "
            "its last rows have both, such as 7,2026-01-31T12:00:00.000Z,3. Events: the id of its last row.",
        ),
    ] = None,
    max_rows: Annotated[int | None, Query(ge=1, le=2**53 - 1, description="A part of at most so many rows.")] = None,
) -> Readings | Events:
    if what == "readings":
        if event_type is not None:
            raise Invalid("`event_type` goes with what=events only.", code="event_type_unfit")
        return Readings(format, span.since, span.until, sensor_type, _position(resume), max_rows)
    if sensor_type:
        raise Invalid("`sensor_type` goes with readings only; events are whole documents.", code="sensor_type_unfit")
    if resume is not None and not (resume.isascii() and resume.isdecimal() and 0 < int(resume) < 2**63):
        raise _unfit("`resume` is the id of the last event that you have.")
    return Events(format, span.since, span.until, event_type, None if resume is None else int(resume), max_rows)


Wanted = Annotated[Readings | Events, Depends(_wanted)]


@router.get(
    "/analytics/export", response_class=StreamingResponse, responses=_FILE | problem_responses(401, 403, 404, 503)
)
async def export_telemetry(
    request: Request,
    session: ReadSession,
    *,
    user: Reader,
    wanted: Wanted,
    device_id: DeviceIds = None,
    home_id: Annotated[RowId | None, Query(description="Only devices of this home.")] = None,
) -> StreamingResponse:
    """All readings (or events) of the time span `from` <= t < `to` within reach as a file of any size.

    Readings come by device id, time, arrival and name, events the newest first; so a download that broke off goes on
    with `resume`. The export is an entry in the audit log.

    Of readings that were down-sampled nothing is in it: `X-Buckets-Before` says up to when that may be so.
    """
    devices = [await get_device(session, user, one, READ) for one in device_id or ()]
    transfers: Transfers = request.app.state.transfers
    owners = {device.organization_id for device in devices}
    deed = Deed("", Actor.of(user), organization_id=owners.pop() if len(owners) == 1 else None)
    folded_before = await _left_out(request, session, user, wanted, device_id, home_id)
    with reading_the_log():
        pieces = await transfers.export(user, deed, wanted, device_id or (), home_id)
    clock: Clock = request.app.state.clock
    kind = "readings" if isinstance(wanted, Readings) else "events"
    name = f"roost-{kind}-{clock.now():%Y-%m-%d}.{wanted.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    headers |= bucket_headers(folded_before)
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[wanted.format], headers=headers)


async def _left_out(  # noqa: PLR0917 - what the export was asked for
    request: Request, session: AsyncSession, user: UserPrincipal, wanted: Readings | Events,
    device_ids: Sequence[int] | None, home_id: int | None,
) -> int | None:  # fmt: skip
    """Up to when (ms) readings of the export may be there as buckets only, which no file has."""
    history: History = request.app.state.history
    with reading_the_log():
        if isinstance(wanted, Events) or not await history.folds_anything():
            return None
    ids = device_ids or await list_ids(session, user, READ, None, home_id)
    return await buckets_before(request, ids, Span(wanted.since, wanted.until), wanted.keys)


@router.post("/analytics/import", openapi_extra=_LINES, responses=problem_responses(401, 403, 408, 413, 503, 507))
async def import_telemetry(request: Request, *, user: Writer) -> ImportOut:
    """History, however old: a line is a reading or an event as an export in JSON lines has it, by its `device_uid`.

    What is there already is left as it is, so that the same lines may come again. A line that cannot be taken is named
    with the reason and keeps no other from being stored. There is no limit but that of a body's size, 1 MiB.
    """
    transfers: Transfers = request.app.state.transfers
    disk: DiskGuard = request.app.state.disk
    disk.ensure_room()
    with reading_the_log():
        taken = await transfers.take(user, Actor.of(user), await request.body())
    refused = [RefusedLine(line=number, detail=detail) for number, detail in taken.refused]
    return ImportOut(stored=taken.stored, known=taken.known, refused=refused)


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        return Position.parse(text)
    except ValueError as error:
        raise _unfit(str(error)) from None


def _unfit(detail: str) -> Invalid:
    return Invalid(detail, errors=[{"pointer": "/query/resume", "detail": detail}], code="resume_unfit")
