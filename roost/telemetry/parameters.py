"""Query parameters of the reading endpoints, from the words of the contract to milliseconds."""

import re
from typing import Annotated, Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from starlette.requests import Request

from roost.core.clock import parse_time
from roost.core.errors import Invalid
from roost.core.ids import RowId
from roost.devices.repository import DeviceFilter
from roost.places.texts import TimeZone
from roost.telemetry.aggregates import AGGREGATES
from roost.telemetry.buckets import Buckets, CalendarBuckets, CalendarUnit, FixedBuckets
from roost.telemetry.questions import BucketQuestion
from roost.telemetry.spans import FOREVER_MS, Span

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1_000}
_WIDTH = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d|w|mo|y)?")
DAY_MS = 24 * 3600 * 1000
_TIME_TEXT = "RFC 3339 or integer milliseconds since 1970."

Fill = Literal["none", "null", "previous", "linear"]


def _moment(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        return parse_time(text.replace(" ", "+"))
    except ValueError:
        raise invalid_query(name, f"`{name}` must be {_TIME_TEXT}") from None


From = Annotated[str | None, Query(alias="from", max_length=40, description=f"Start, included; {_TIME_TEXT}")]
To = Annotated[str | None, Query(max_length=40, description=f"End, not included; {_TIME_TEXT}")]


async def _span(from_: From = None, to: To = None) -> Span:
    since, until = _moment(from_, "from"), _moment(to, "to")
    return Span(0 if since is None else since, FOREVER_MS if until is None else until)


async def _recent_span(request: Request, from_: From = None, to: To = None) -> Span:
    """The day before `to`, and that is now, unless something else is asked for."""
    since, until = _moment(from_, "from"), _moment(to, "to")
    if until is None:
        until = int(request.app.state.clock.now_ms())
    span = Span(until - DAY_MS if since is None else since, until)
    if span.since >= span.until:
        raise invalid_query("from", "`from` must be before `to`, which is now if it is not given.")
    return span


async def _buckets(
    bucket: Annotated[
        str | None,
        Query(
            max_length=12,
            description="Width of the buckets: seconds, or 30s, 5m, 1h, 1d; 1w (from Monday), 1mo, 1y by the calendar.",
        ),
    ] = None,
    tz: Annotated[
        TimeZone | None,
        Query(description="Days, weeks, months and years as this place has them, 23 and 25 hours included."),
    ] = None,
) -> Buckets | None:
    if bucket is None:
        if tz is not None:
            raise invalid_query("tz", "`tz` needs a `bucket` of days, weeks, months or years, such as bucket=1d.")
        return None
    found = _WIDTH.fullmatch(bucket)
    if found is None:
        raise invalid_query("bucket", "`bucket` is a number of seconds, or such as 30s, 5m, 1h, 1d, 1w, 1mo, 1y.")
    count, unit = int(found[1]), found[2] or ""
    if unit in _UNITS_MS and tz is None:
        return FixedBuckets(count * _UNITS_MS[unit])
    if unit not in {"d", "w", "mo", "y"}:
        raise invalid_query("tz", "`tz` needs a `bucket` of days, weeks, months or years; hours are the same anywhere.")
    return CalendarBuckets(cast("CalendarUnit", unit), count, ZoneInfo(tz or "UTC"))


async def _aggregates(
    agg: Annotated[
        str | None, Query(max_length=100, description=f"Separated by commas, of {', '.join(AGGREGATES)}.")
    ] = None,
) -> tuple[str, ...] | None:
    if agg is None:
        return None
    names = tuple(dict.fromkeys(agg.split(",")))
    unknown = [name for name in names if name not in AGGREGATES]
    if unknown:
        raise invalid_query("agg", f"There is no aggregate {unknown[0]!r}; there are {', '.join(AGGREGATES)}.")
    return names


async def _question(
    buckets: Annotated[Buckets | None, Depends(_buckets)],
    aggregates: Annotated[tuple[str, ...] | None, Depends(_aggregates)],
    fill: Annotated[
        Fill | None,
        Query(description="Buckets in which nothing was heard: left out (none), null, or filled from those around."),
    ] = None,
) -> BucketQuestion | None:
    if buckets is not None:
        return BucketQuestion(buckets, aggregates or ("avg",), fill or "none")
    if aggregates is not None or fill is not None:
        name = "agg" if fill is None else "fill"
        raise Invalid(f"`{name}` needs a `bucket`, such as bucket=5m.", code="bucket_missing")
    return None


async def _sensor_types(
    sensor_type: Annotated[list[str] | None, Query(max_length=50, description="Only these series.")] = None,
) -> tuple[str, ...]:
    return tuple(sensor_type or ())


class MessagesWanted(NamedTuple):
    """Which messages across the caller's reach."""

    device_id: int | None
    home_id: int | None
    event_type: str | None
    span: Span


class FleetWanted(NamedTuple):
    """Which devices a question about many is about."""

    device_ids: tuple[int, ...]
    filter: DeviceFilter


async def _fleet(
    device_id: Annotated[list[RowId] | None, Query(max_length=500, description="Only these devices.")] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    organization_id: Annotated[RowId | None, Query()] = None,
    device_type: Annotated[str | None, Query(max_length=40, description="Only devices of this type.")] = None,
) -> FleetWanted:
    wanted = DeviceFilter(organization_id=organization_id, home_id=home_id, type=device_type)
    return FleetWanted(tuple(dict.fromkeys(device_id or ())), wanted)


async def _messages(
    span: Annotated[Span, Depends(_span)],
    device_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    event_type: Annotated[str | None, Query(max_length=64, description="Only this type of event.")] = None,
) -> MessagesWanted:
    return MessagesWanted(device_id, home_id, event_type, span)


def invalid_query(name: str, detail: str) -> Invalid:
    """A refusal that points to a query parameter."""
    return Invalid(detail, errors=[{"pointer": f"/query/{name}", "detail": detail}])


RecentSpan = Annotated[Span, Depends(_recent_span)]
TimeSpan = Annotated[Span, Depends(_span)]
Question = Annotated[BucketQuestion | None, Depends(_question)]
Points = Annotated[
    int | None,
    Query(ge=10, le=5_000, description="At most this many readings of each series, peaks kept: for a chart."),
]
SensorTypes = Annotated[tuple[str, ...], Depends(_sensor_types)]
Division = Annotated[Buckets | None, Depends(_buckets)]
Fleet = Annotated[FleetWanted, Depends(_fleet)]
Messages = Annotated[MessagesWanted, Depends(_messages)]
