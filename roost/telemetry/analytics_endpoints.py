"""Questions about many devices at once, within the caller's reach: what came from whom, and trends of the fleet."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.clock import rfc3339_from_ms
from roost.core.database import ReadSession
from roost.core.errors import Invalid
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.repository import DevicePlace, list_device_places
from roost.telemetry.answers import as_json, bucket_headers, buckets_before, reading_the_log, store_of
from roost.telemetry.buckets import Buckets, FixedBuckets, edges_over
from roost.telemetry.parameters import Division, Fleet, FleetWanted, Question, RecentSpan, SensorTypes, invalid_query
from roost.telemetry.questions import BucketQuestion
from roost.telemetry.schemas import DeviceSummaryOut, SensorSummaryOut, SpanOut, SummaryOut, TrendOut
from roost.telemetry.spans import Span

if TYPE_CHECKING:
    from roost.telemetry.analysis.coverage import Coverage

router = api_router("analytics")

Reader = Annotated[UserPrincipal, requires("telemetry:read")]
By = Literal["all", "organization", "home", "type", "device"]

MOST_DEVICES = 100_000
MOST_STRETCHES = 1_000
MOST_GAPS = 10
_HOURLY = BucketQuestion(FixedBuckets(3_600_000), ("avg",))
# For completeness: the first width that divides the span into no more than this many stretches, or the last one.
_STRETCHES = 120
_WIDTHS_MIN = (1, 5, 15, 60, 3 * 60, 6 * 60, 24 * 60, 7 * 24 * 60, 30 * 24 * 60)

_GROUPS: dict[str, tuple[str, Callable[[DevicePlace], Hashable]]] = {
    "organization": ("organization_id", lambda device: device.organization_id),
    "home": ("home_id", lambda device: device.home_id),
    "type": ("device_type", lambda device: device.type),
    "device": ("device_id", lambda device: device.id),
}


@router.get("/analytics/trends", response_model=list[TrendOut], responses=problem_responses(401, 403, 404, 503))
async def list_trends(
    request: Request, session: ReadSession, *, user: Reader, fleet: Fleet, span: RecentSpan, sensor_type: SensorTypes,
    question: Question,
    by: Annotated[By, Query(description="What the devices are taken together by; `device`: each for itself.")] = "all",
) -> Any:  # fmt: skip
    """Aggregates over many devices per bucket: by group, series and time; by default of the last 24 hours, hourly.

    At most 50,000 buckets. A device that sends more often counts more in an average, as in every other aggregate.
    """
    devices = await _devices(session, user, fleet)
    chosen = question or _HOURLY
    name, group_of = _GROUPS.get(by, ("", None))
    groups = {device.id: group_of(device) if group_of is not None else None for device in devices}
    folded_before = await buckets_before(request, groups, span, sensor_type)
    with reading_the_log():
        store = store_of(request)
        analyst = await store.analyst()
        entries = await store.fleet_patience.answer(
            request,
            lambda: analyst.buckets(
                list(groups), span, chosen, sensor_type, group_of=None if by == "device" else groups.__getitem__
            ),
        )
    return await as_json(
        [({name: entry.group} if name else {}) | entry.row | {"devices": entry.devices} for entry in entries],
        folded_before,
    )


@router.get("/analytics/summary", responses=problem_responses(401, 403, 404, 503))
async def read_summary(
    request: Request, response: Response, session: ReadSession, *, user: Reader, fleet: Fleet, span: RecentSpan,
    sensor_type: SensorTypes,
    bucket: Division,
    worst: Annotated[
        int, Query(ge=0, le=500, description="How many devices to name, those heard in the fewest buckets first.")
    ] = 20,
) -> SummaryOut:  # fmt: skip
    """What came from the devices in reach, by default in the last 24 hours, and who was silent.

    `completeness` is the share of the span's buckets in which anything was heard: choose a `bucket` in which each
    device should have sent something. By default it is about a hundredth of the span.
    """
    devices = await _devices(session, user, fleet)
    span = Span(span.since, min(span.until, request.app.state.clock.now_ms()))
    edges = _stretches(span, bucket)
    folded_before = await buckets_before(request, [device.id for device in devices], span, sensor_type)
    response.headers.update(bucket_headers(folded_before))
    with reading_the_log():
        store = store_of(request)
        analyst = await store.analyst()
        coverage = await store.fleet_patience.answer(
            request, lambda: analyst.coverage([device.id for device in devices], span, edges, sensor_type)
        )
    return await asyncio.to_thread(_summary, devices, span, coverage, worst)


def _summary(devices: Sequence[DevicePlace], span: Span, coverage: "Coverage", worst: int) -> SummaryOut:
    heard = coverage.by_device
    named = sorted(devices, key=lambda device: (coverage.completeness(device.id), device.id))[:worst]
    return SummaryOut(
        start=rfc3339_from_ms(span.since),
        end=rfc3339_from_ms(span.until),
        buckets=coverage.stretches,
        devices=len(devices),
        devices_heard=len(heard),
        series=sum(len(one.keys) for one in heard.values()),
        readings=sum(one.readings for one in heard.values()),
        last_at=rfc3339_from_ms(max(one.last_at for one in heard.values())) if heard else None,
        by_sensor_type=[
            SensorSummaryOut(
                sensor_type=series.key, unit=series.unit, devices=cell.devices, readings=cell.count,
                min=cell.low, max=cell.high, avg=cell.answer("avg"), last_at=rfc3339_from_ms(cell.last_at),
            )
            for series in coverage.series()
            for cell in series.cells.values()
        ],
        by_device=[_device_summary(device, coverage) for device in named],
    )  # fmt: skip


def _device_summary(device: DevicePlace, coverage: "Coverage") -> DeviceSummaryOut:
    heard = coverage.by_device.get(device.id)
    return DeviceSummaryOut(
        device_id=device.id,
        name=device.name,
        readings=heard.readings if heard is not None else 0,
        series=len(heard.keys) if heard is not None else 0,
        last_at=rfc3339_from_ms(heard.last_at) if heard is not None else None,
        completeness=coverage.completeness(device.id),
        gaps=[
            SpanOut(start=rfc3339_from_ms(gap.since), end=rfc3339_from_ms(gap.until))
            for gap in coverage.gaps(device.id, MOST_GAPS)
        ],
    )


async def _devices(session: AsyncSession, user: UserPrincipal, fleet: FleetWanted) -> Sequence[DevicePlace]:
    devices = await list_device_places(
        session, user, "telemetry:read", fleet.filter, device_ids=fleet.device_ids, limit=MOST_DEVICES + 1
    )
    if len(devices) > MOST_DEVICES:
        raise Invalid(f"These are more than {MOST_DEVICES:,} devices; ask for an organization, home or type of them.")
    await session.close()  # Reading history may take a while, and needs no connection of the database.
    return devices


def _stretches(span: Span, division: Buckets | None) -> list[int]:
    """The starts of the stretches that completeness is told in."""
    if division is None:
        widths_ms = [minutes * 60_000 for minutes in _WIDTHS_MIN]
        fitting = (width for width in widths_ms if (span.until - span.since) // width < _STRETCHES)
        division = FixedBuckets(next(fitting, widths_ms[-1]))
    edges = edges_over(division, span.since, span.until, MOST_STRETCHES)
    if edges is None:
        raise invalid_query("bucket", f"That would be more than {MOST_STRETCHES:,} buckets; ask for wider ones.")
    return edges
