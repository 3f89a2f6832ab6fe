"""What one series held in one bucket, gathered bit by bit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from roost.telemetry.aggregates import SHARES

Floats = npt.NDArray[np.float64]

_KEPT = {"min": "low", "max": "high", "count": "count", "first": "first", "last": "last"}
_LARGEST = 1.7976931348623157e308


@dataclass(slots=True)
class Cell:
    """At least one reading; `first` and `last` by time (ms), of equal times the one that arrived first and last.

    `device_id` is the device that was taken in last, `devices` how many there were, which come one after the other.
    `spread` is the sum of the squared distances from the average, if somebody asks for it; `values` all of them, in
    pieces, until `settle` has made `percentiles` of them.
    """

    device_id: int
    count: int
    total: float
    low: float
    high: float
    first: float
    last: float
    first_at: int
    last_at: int
    spread: float = 0.0
    devices: int = 1
    values: list[Floats] = field(default_factory=list)
    percentiles: dict[str, float] = field(default_factory=dict)

    def take_in(self, other: "Cell") -> None:
        """Adds what `other` held: of the same device it is later, of another device it may be at any time."""
        apart = other.total / other.count - self.total / self.count
        self.spread += other.spread + apart * apart * self.count * other.count / (self.count + other.count)
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        if other.first_at < self.first_at:
            self.first, self.first_at = other.first, other.first_at
        if other.last_at >= self.last_at:
            self.last, self.last_at = other.last, other.last_at
        if other.device_id != self.device_id:
            self.devices += 1
            self.device_id = other.device_id
        self.values += other.values

    def settle(self, names: Iterable[str]) -> int:
        """Makes the percentiles and lets the values go; how many those were."""
        if not self.values:
            return 0
        ordered = np.sort(np.concatenate(self.values))
        self.percentiles = {name: percentile(ordered, SHARES[name]) for name in names if name in SHARES}
        self.values = []
        return len(ordered)

    def answer(self, name: str) -> float | int | None:
        """One of `AGGREGATES`, after `settle`; None for what no double can hold."""
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
