"""What one series held in one bucket, and what can be said about it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from roost.telemetry.aggregates import SHARES
from roost.telemetry.analysis.partials import Floats

_KEPT = {"min": "low", "max": "high", "count": "count", "first": "first", "last": "last"}
_LARGEST = 1.7976931348623157e308


@dataclass(slots=True)
class Cell:
    """At least one reading; `first` and `last` by time (ms), of equal times the one that arrived first and last.

    `spread` is the sum of the squared distances from the average, and `percentiles` are known if somebody asked.
    """

    count: int
    total: float
    low: float
    high: float
    first: float
    last: float
    first_at: int
    last_at: int
    spread: float
    devices: int
    percentiles: Mapping[str, float] = field(default_factory=dict)

    def answer(self, name: str) -> float | int | None:
        """One of `AGGREGATES`; None for what no double can hold."""
        match name:
            case "avg":
                return _finite(self.total / self.count)
            case "sum":
                return _finite(self.total)
            case "stddev":
                return _finite(math.sqrt(self.spread / self.count))
            case _ if name in SHARES:
                return self.percentiles[name]
        found: float | int = getattr(self, _KEPT[name])
        return found


def percentile(ordered: Floats | Sequence[float], share: float) -> float:
    """The value below which `share` of the ascending values lie, interpolated between the two nearest."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    # Not low + (high - low) * rest: the difference of two doubles can be more than a double holds.
    return low * (1 - (place - below)) + high * (place - below) if low != high else low


def _finite(value: float) -> float | None:
    """Sums of values near the largest double stay numbers that JSON can carry."""
    if math.isnan(value):
        return None
    return min(max(value, -_LARGEST), _LARGEST)
