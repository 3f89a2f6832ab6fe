"""A series with fewer points for a chart, peaks kept: of every stretch of time its smallest and its largest reading."""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roost.telemetry.analysis.exactness import reading_at
from roost.telemetry.analysis.partials import Floats
from roost.telemetry.frames import Column, ColumnSummary, Times
from roost.telemetry.messages import Reading

Places = npt.NDArray[np.intp]

FEWEST_POINTS = 10
# How many times the wanted points are gathered before they are thinned: not after every small piece.
_SLACK = 16


class _Part(NamedTuple):
    """Readings that wait for the next thinning: the rows of a column, those at `times` of it."""

    times: Times
    column: Column
    rows: Places
    floats: Floats

    def reading(self, key: str, place: int) -> Reading:
        return reading_at(key, self.times, self.column, int(self.rows[place]))


class ThinnedSeries:
    """At most `points` (10 or more) readings of one series of one device, which comes oldest first.

    Up to that many are all kept. Beyond, time is divided into stretches of equal width, and of each the smallest and
    the largest reading stay, each at its own time; so do the very first and the very last of all.
    """

    def __init__(self, key: str, points: int) -> None:
        self.key = key
        self._points = points
        self._width_ms = 1
        self._kept: list[Reading] = []
        self._kept_times: Times = np.empty(0, dtype=np.int64)
        self._kept_floats: Floats = np.empty(0)
        self._parts: list[_Part] = []
        self._waiting = 0

    def fold(self, times: Times, column: Column) -> None:
        """Adds the values of a column whose rows are at `times`, none earlier than those before."""
        rows = np.arange(len(times)) if column.present is None else np.flatnonzero(column.present)
        self._parts.append(_Part(times, column, rows, column.floats()))
        self._waiting += len(rows)
        if self._waiting > self._points * _SLACK:
            self._thin()

    def fold_summary(self, column: ColumnSummary) -> None:
        """Adds what is left of some readings as the smallest and the largest of them, at the ends of their time."""
        ends = [(column.first_at, column.min), (column.last_at, column.max)][: min(column.count, 2)]
        times, values = zip(*ends, strict=True)
        units = () if column.unit is None else ((0, column.unit),)
        self.fold(np.array(times, np.int64), Column(np.array(values, np.float64), units=units))

    def readings(self) -> list[Reading]:
        """Oldest first."""
        self._thin()
        return self._kept

    def _thin(self) -> None:
        """Brings what was kept and what waits down to `points`."""
        times = np.concatenate([self._kept_times, *(part.times[part.rows] for part in self._parts)])
        floats = np.concatenate([self._kept_floats, *(part.floats for part in self._parts)])
        if len(times) > self._points:
            self._widen(int(times[0]), int(times[-1]))
        if len(times) > self._points or self._width_ms > 1:
            places = _extremes(times // self._width_ms, floats)
        else:
            places = np.arange(len(times))
        self._kept = self._readings(places)
        self._kept_times, self._kept_floats = times[places], floats[places]
        self._parts, self._waiting = [], 0

    def _widen(self, first: int, last: int) -> None:
        """Doubles the width until the stretches are few enough; doubling, so that what was thinned before stays right.

        A stretch gives two readings, and the first and the last of all come in addition.
        """
        while last // self._width_ms - first // self._width_ms + 1 > (self._points - 2) // 2:
            self._width_ms *= 2

    def _readings(self, places: Places) -> list[Reading]:
        begins = list(accumulate((len(part.rows) for part in self._parts), initial=len(self._kept)))
        readings = []
        for place in places.tolist():
            if place < len(self._kept):
                readings.append(self._kept[place])
            else:
                part = bisect_right(begins, place) - 1
                readings.append(self._parts[part].reading(self.key, place - begins[part]))
        return readings


def _extremes(stretches: Times, floats: Floats) -> Places:
    """Where the first smallest and first largest value of each stretch are, and the very first and last; ascending."""
    begins = np.flatnonzero(np.diff(stretches, prepend=stretches[0] - 1))
    counts = np.diff(begins, append=len(stretches))
    found = [np.array([0, len(stretches) - 1])]
    for extreme in (np.minimum, np.maximum):
        equal = np.flatnonzero(floats == np.repeat(extreme.reduceat(floats, begins), counts))
        found.append(equal[np.searchsorted(equal, begins)])
    return np.unique(np.concatenate(found))
