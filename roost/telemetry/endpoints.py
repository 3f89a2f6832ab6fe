"""Telemetry out: the newest messages, readings, latest values, statistics and events, within the caller's reach."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession
from roost.core.errors import Malformed, NotFound
from roost.core.ids import RowId
from roost.core.paging import Page, PageRequest
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.dependencies import CurrentDevice
from roost.devices.repository import get_device, list_ids
from roost.telemetry.answers import as_json, bucket_headers, buckets_before, reading_the_log, store_of
from roost.telemetry.log import MessageFilter
from roost.telemetry.messages import Reading
from roost.telemetry.parameters import (
    Messages,
    MessagesWanted,
    Points,
    Question,
    SensorTypes,
    TimeSpan,
    invalid_query,
)
from roost.telemetry.schemas import BucketOut, MessageOut, ReadingOut, StatsOut, shown
from roost.telemetry.spans import Span

router = api_router("telemetry")

Reader = Annotated[UserPrincipal, requires("telemetry:read")]
DeviceId = Annotated[RowId, Path()]
Limit = Annotated[int, Query(ge=1, le=500, description="At most this many, the newest.")]


@router.get("/telemetry/recent", responses=problem_responses(401, 503))
async def list_own_telemetry(request: Request, device: CurrentDevice, limit: Limit = 50) -> list[MessageOut]:
    """The device's own last messages, newest arrival first."""
    with reading_the_log():
        rows = await store_of(request).recent([device.device_id], limit)
    return [MessageOut.of(row) for row in rows]


@router.get("/devices/{device_id}/telemetry/recent", responses=problem_responses(401, 403, 404, 503))
async def list_device_telemetry(
    request: Request, session: ReadSession, user: Reader, device_id: DeviceId, limit: Limit = 50
) -> list[MessageOut]:
    """The last messages of a device, newest arrival first."""
    await get_device(session, user, device_id, "telemetry:read")
    with reading_the_log():
        rows = await store_of(request).recent([device_id], limit)
    return [MessageOut.of(row) for row in rows]


@router.get(
    "/devices/{device_id}/readings",
    response_model=list[ReadingOut] | list[BucketOut],
    response_model_exclude_unset=True,
    responses=problem_responses(400, 401, 403, 404, 503),
)
async def list_readings(
    request: Request,
    response: Response,
    session: ReadSession,
    *,
    user: Reader,
    device_id: DeviceId,
    page: Page,
    span: TimeSpan,
    sensor_type: SensorTypes,
    question: Question,
    points: Points = None,
) -> Any:
    """Readings of the time span `from` <= t < `to`, newest first; without `from` and `to` that is all there is.

    With `bucket`, aggregates per series and bucket, oldest first, at most 50,000 of them. With `points`, readings of
    each series for a chart, oldest first: of every stretch of time the smallest and the largest, and the first and
    last of all. `limit` and `cursor` page the readings themselves only.

    Where retention has left only buckets of older readings, `X-Buckets-Before` says up to when that may be so: each
    counts where it begins, and is one reading (with `averaged_s`) in the list of them.
    """
    await get_device(session, user, device_id, "telemetry:read")
    await session.close()  # Reading history may take a while, and needs no connection of the database.
    store = store_of(request)
    if points is not None:
        if question is not None:
            raise invalid_query("points", "`points` gives readings and `bucket` aggregates; ask for one of them.")
        return await _thinned(request, device_id, span, points, sensor_type)
    if question is None:
        return await _raw_page(request, response, device_id, span, page=page, keys=sensor_type)
    folded_before = await buckets_before(request, [device_id], span, sensor_type)
    with reading_the_log():
        analyst = await store.analyst()
        found = await store.patience.answer(request, lambda: analyst.buckets([device_id], span, question, sensor_type))
    return await as_json([entry.row for entry in found], folded_before)


async def _thinned(request: Request, device_id: int, span: Span, points: int, keys: Sequence[str]) -> Response:
    folded_before = await buckets_before(request, [device_id], span, keys)
    with reading_the_log():
        store = store_of(request)
        analyst = await store.analyst()
        found = await store.patience.answer(request, lambda: analyst.thinned(device_id, span, points, keys))
    return await as_json([shown(reading) for reading in found], folded_before)


async def _raw_page(
    request: Request, response: Response, device_id: int, span: Span, *, page: PageRequest, keys: Sequence[str]
) -> list[ReadingOut]:
    """A cursor is the time of the last reading given and how many of that moment were given: late data may come in."""
    given = 0
    if page.after is not None:
        if len(page.after) != 2 or not all(isinstance(part, int) and part >= 0 for part in page.after):
            raise Malformed("The cursor is not one that this list gave out; start again without it.", code="bad_cursor")
        last, given = int(page.after[0]), int(page.after[1])
        span = Span(span.since, min(span.until, last + 1))
    folded_before = await buckets_before(request, [device_id], span, keys)
    response.headers.update(bucket_headers(folded_before))
    with reading_the_log():
        store = store_of(request)
        analyst = await store.analyst()
        newest = await store.patience.answer(
            request,
            lambda: analyst.newest(device_id, span, page.limit + given + 1, keys, folded_before=folded_before),
        )
    found = newest[given:]

    def position(last: Reading) -> list[int | str]:
        shown = found[: page.limit]
        same = sum(1 for reading in shown if reading.timestamp == last.timestamp)
        earlier_pages = given if shown[0].timestamp == last.timestamp else 0
        return [last.timestamp, same + earlier_pages]

    return [ReadingOut.of(reading) for reading in page.cut(found, position)]


@router.get(
    "/devices/{device_id}/readings/latest",
    response_model_exclude_unset=True,
    responses=problem_responses(401, 403, 404, 503),
)
async def list_latest_readings(
    request: Request, session: ReadSession, user: Reader, device_id: DeviceId
) -> list[ReadingOut]:
    """The newest value of every series, by name."""
    await get_device(session, user, device_id, "telemetry:read")
    with reading_the_log():
        return [ReadingOut.of(reading) for reading in await store_of(request).latest(device_id)]


@router.get(
    "/devices/{device_id}/readings/stats",
    response_model=list[StatsOut],
    responses=problem_responses(401, 403, 404, 503),
)
async def list_reading_stats(
    request: Request, session: ReadSession, *, user: Reader, device_id: DeviceId, span: TimeSpan,
    sensor_type: SensorTypes,
) -> Any:  # fmt: skip
    """Statistics of every series in the time span."""
    await get_device(session, user, device_id, "telemetry:read")
    await session.close()
    folded_before = await buckets_before(request, [device_id], span, sensor_type)
    with reading_the_log():
        store = store_of(request)
        analyst = await store.analyst()
        found = await store.patience.answer(request, lambda: analyst.statistics(device_id, span, sensor_type))
    return await as_json(found, folded_before)


@router.get("/telemetry", responses=problem_responses(400, 401, 403, 404, 503))
async def list_telemetry(
    request: Request, session: ReadSession, *, user: Reader, page: Page, wanted: Messages
) -> list[MessageOut]:
    """Messages of all devices within reach, newest arrival first."""
    return await _across(request, session, user, page, wanted, events_only=False)


@router.get("/events", responses=problem_responses(400, 401, 403, 404, 503))
async def list_events(
    request: Request, session: ReadSession, *, user: Reader, page: Page, wanted: Messages
) -> list[MessageOut]:
    """Events (messages sent with an `event_type`) of all devices within reach, newest arrival first."""
    return await _across(request, session, user, page, wanted, events_only=True)


@router.get("/events/{event_id}", responses=problem_responses(401, 403, 404, 503))
async def get_event(request: Request, session: ReadSession, user: Reader, event_id: RowId) -> MessageOut:
    """One event."""
    with reading_the_log():
        row = await store_of(request).find(event_id)
    if row is None or row.event_type is None or not await list_ids(session, user, "telemetry:read", row.device_id):
        raise NotFound(f"There is no event {event_id}.", code="event_not_found")
    return MessageOut.of(row)


async def _across(
    request: Request,
    session: AsyncSession,
    user: UserPrincipal,
    page: PageRequest,
    wanted: MessagesWanted,
    *,
    events_only: bool,
) -> list[MessageOut]:
    if wanted.device_id is not None:
        await get_device(session, user, wanted.device_id, "telemetry:read")
    device_ids = await list_ids(session, user, "telemetry:read", wanted.device_id, wanted.home_id)
    if not device_ids:
        return []
    message_filter = MessageFilter(
        page.after_id or None, wanted.span.since, wanted.span.until, wanted.event_type, events_only
    )
    with reading_the_log():
        store = store_of(request)
        rows = await store.patience.answer(request, lambda: store.recent(device_ids, page.limit + 1, message_filter))
    return [MessageOut.of(row) for row in page.cut(rows, lambda row: row.id)]
