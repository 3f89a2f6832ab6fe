"""Statistics over messages. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.log import Row

Point = tuple[int, float]


def statistics(rows: Iterable[Row], keys: frozenset[str]) -> list[dict[str, Any]]:
    """Per series: count, min, max, avg, sum, first, last and when; booleans count as 0 and 1."""
    series, units = _series(rows, keys)
    found = []
    for key in sorted(series):
        points = series[key]
        found.append(
            {"sensor_type": key, "unit": units.get(key)}
            | {name: aggregate(points, name) for name in ("count", "min", "max", "avg", "sum", "first", "last")}
            | {"first_at": rfc3339_from_ms(points[0][0]), "last_at": rfc3339_from_ms(points[-1][0])}
        )
    return found


def bucket_rows(
    rows: Iterable[Row], width_ms: int, aggregates: Sequence[str], keys: frozenset[str]
) -> list[dict[str, Any]]:
    """Per series and bucket of `width_ms`, counted from 1970 UTC; buckets without a reading are left out."""
    series, units = _series(rows, keys)
    found = []
    for key in sorted(series):
        buckets: dict[int, list[Point]] = {}
        for point in series[key]:
            buckets.setdefault(point[0] - point[0] % width_ms, []).append(point)
        for start, points in buckets.items():
            found.append(
                {"sensor_type": key, "unit": units.get(key), "bucket": rfc3339_from_ms(start)}
                | {name: aggregate(points, name) for name in aggregates}
            )
    return found


def aggregate(points: Sequence[Point], name: str) -> float | int:
    """One of `AGGREGATES` over at least one point, in the order of time."""
    return _AGGREGATES[name]([value for _, value in points])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated between the two nearest."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return _finite(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def _finite(value: float) -> float:
    """Sums of values near the largest double stay numbers that JSON can carry."""
    if value == float("inf"):
        return 1.7976931348623157e308
    if value == float("-inf"):
        return -1.7976931348623157e308
    return value


def _series(rows: Iterable[Row], keys: frozenset[str]) -> tuple[dict[str, list[Point]], dict[str, str]]:
    """Points of each series in the order of time, equal ones at one moment once, and the newest unit of each."""
    series: dict[str, list[Point]] = {}
    units: dict[str, str] = {}
    here: set[tuple[str, float]] = set()
    moment = -1
    for row in rows:
        if row.observed_at != moment:
            moment = row.observed_at
            here.clear()
        for key, value in row.readings().items():
            if (keys and key not in keys) or (key, value) in here:
                continue
            here.add((key, value))
            series.setdefault(key, []).append((moment, float(value) if isinstance(value, bool) else value))
        if row.units:
            units.update(row.units_by_key())
    return series, units


_AGGREGATES: dict[str, Callable[[list[float]], float | int]] = {
    "avg": lambda values: _finite(sum(values) / len(values)),
    "min": min,
    "max": max,
    "sum": lambda values: _finite(sum(values)),
    "count": len,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "p50": lambda values: percentile(values, 0.50),
    "p95": lambda values: percentile(values, 0.95),
}
AGGREGATES = tuple(_AGGREGATES)
