"""Query parameters of the reading endpoints, from the words of the contract to milliseconds."""

import re
from typing import Annotated, NamedTuple

from fastapi import Depends, Query

from roost.core.clock import parse_time
from roost.core.errors import Invalid
from roost.core.ids import RowId
from roost.telemetry.aggregates import AGGREGATES
from roost.telemetry.queries import FOREVER_MS, Span

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1_000}
_WIDTH = re.compile(r"([1-9][0-9]{0,6})([smhd]?)")
_TIME_TEXT = "RFC 3339 or integer milliseconds since 1970."


def _moment(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        return parse_time(text.replace(" ", "+"))
    except ValueError:
        raise _invalid(name, f"`{name}` must be {_TIME_TEXT}") from None


def _span(
    from_: Annotated[
        str | None, Query(alias="from", max_length=40, description=f"Start, included; {_TIME_TEXT}")
    ] = None,
    to: Annotated[str | None, Query(max_length=40, description=f"End, not included; {_TIME_TEXT}")] = None,
) -> Span:
    since, until = _moment(from_, "from"), _moment(to, "to")
    return Span(0 if since is None else since, FOREVER_MS if until is None else until)


def _width(
    bucket: Annotated[
        str | None, Query(max_length=12, description="Width of the buckets: seconds, or 30s, 5m, 1h, 1d.")
    ] = None,
) -> int | None:
    if bucket is None:
        return None
    found = _WIDTH.fullmatch(bucket)
    if found is None:
        raise _invalid("bucket", "`bucket` is a number of seconds, or such as 30s, 5m, 1h, 1d.")
    return int(found[1]) * _UNITS_MS[found[2]]


def _aggregates(
    agg: Annotated[
        str | None, Query(max_length=100, description=f"Separated by commas, of {', '.join(AGGREGATES)}.")
    ] = None,
) -> tuple[str, ...] | None:
    if agg is None:
        return None
    names = tuple(agg.split(","))
    unknown = [name for name in names if name not in AGGREGATES]
    if unknown:
        raise _invalid("agg", f"There is no aggregate {unknown[0]!r}; there are {', '.join(AGGREGATES)}.")
    return names


def _sensor_types(
    sensor_type: Annotated[list[str] | None, Query(max_length=50, description="Only these series.")] = None,
) -> tuple[str, ...]:
    return tuple(sensor_type or ())


class MessagesWanted(NamedTuple):
    """Which messages across the caller's reach."""

    device_id: int | None
    home_id: int | None
    event_type: str | None
    span: Span


def _messages(
    span: Annotated[Span, Depends(_span)],
    device_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    event_type: Annotated[str | None, Query(max_length=64, description="Only this type of event.")] = None,
) -> MessagesWanted:
    return MessagesWanted(device_id, home_id, event_type, span)


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[{"pointer": f"/query/{name}", "detail": detail}])


TimeSpan = Annotated[Span, Depends(_span)]
BucketWidth = Annotated[int | None, Depends(_width)]
Aggregates = Annotated[tuple[str, ...] | None, Depends(_aggregates)]
SensorTypes = Annotated[tuple[str, ...], Depends(_sensor_types)]
Messages = Annotated[MessagesWanted, Depends(_messages)]
