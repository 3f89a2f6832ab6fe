"""Stretches of time that readings are gathered in: of a fixed width, or days, weeks, months and years of a place."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Literal, Protocol

from roost.core.clock import from_ms, to_ms

CalendarUnit = Literal["d", "w", "mo", "y"]

# Years 2 to 9998: whatever the zone, what is computed with these can be expressed.
_EARLIEST_MS, _LATEST_MS = -62_103_000_000_000, 253_370_000_000_000
_BEFORE_ALL, _AFTER_ALL = -62_135_596_800_000, 2**62
_FIRST_DAY = date(1970, 1, 1).toordinal()
_FIRST_MONDAY = date(1969, 12, 29).toordinal()


class Buckets(Protocol):
    """A division of time without gaps. All times in milliseconds since 1970 UTC."""

    def start_of(self, moment: int) -> int:
        """The start of the bucket that `moment` lies in."""

    def following(self, start: int) -> int:
        """The start of the bucket after the one that begins at `start`."""

    def edges(self, first: int, last: int) -> list[int]:
        """The starts of all buckets from the one of `first` to the one of `last`, which is not earlier."""


@dataclass(frozen=True, slots=True)
class FixedBuckets:
    """Buckets of equal width, counted from 1970 UTC."""

    width_ms: int

    def start_of(self, moment: int) -> int:
        return moment - moment % self.width_ms

    def following(self, start: int) -> int:
        return start + self.width_ms

    def edges(self, first: int, last: int) -> list[int]:
        return list(range(self.start_of(first), last + 1, self.width_ms))


@dataclass(frozen=True, slots=True)
class OneBucket:
    """All there is, as one bucket that begins at `start`."""

    start: int = 0

    def start_of(self, moment: int) -> int:  # noqa: ARG002 - the same for all
        return self.start

    def following(self, start: int) -> int:  # noqa: ARG002 - nothing follows
        return _AFTER_ALL

    def edges(self, first: int, last: int) -> list[int]:  # noqa: ARG002 - the same for all
        return [self.start]


@dataclass(frozen=True, slots=True)
class CalendarBuckets:
    """`count` days, weeks (from Monday), months or years at a time, counted from 1970, from midnight to midnight.

    A day has 23 or 25 hours when the clocks change in it. A midnight that is skipped counts as the moment of the
    change; of one that comes twice the first counts, and what is between the two belongs to the new day.
    """

    unit: CalendarUnit
    count: int = 1
    zone: tzinfo = UTC
    _known: dict[int, int] = field(default_factory=dict, compare=False, repr=False)

    def start_of(self, moment: int) -> int:
        return self._edge(self._place(moment))

    def following(self, start: int) -> int:
        place = self._place(start)
        while self._edge(place) <= start:
            place += 1
        return self._edge(place)

    def edges(self, first: int, last: int) -> list[int]:
        edges: list[int] = []
        for place in range(self._place(first), self._place(last) + 1):
            edge = self._edge(place)
            # A day that a place skipped when it moved across the date line has no width.
            if edges and edges[-1] == edge:
                continue
            edges.append(edge)
        return edges

    def _place(self, moment: int) -> int:
        """The number of the bucket that `moment` lies in."""
        clamped = min(max(moment, _EARLIEST_MS), _LATEST_MS)
        place = self._number(from_ms(clamped).astimezone(self.zone).date()) // self.count
        # The date is not enough: clocks that are set back at midnight make a day of the calendar come twice.
        while self._edge(place + 1) <= clamped:
            place += 1
        while self._edge(place) > clamped:
            place -= 1
        return place

    def _number(self, day: date) -> int:
        """How many units of the calendar lie between 1970 and this day."""
        match self.unit:
            case "d":
                return day.toordinal() - _FIRST_DAY
            case "w":
                return (day.toordinal() - _FIRST_MONDAY) // 7
            case "mo":
                return (day.year - 1970) * 12 + day.month - 1
            case "y":
                return day.year - 1970

    def _edge(self, place: int) -> int:
        edge = self._known.get(place)
        if edge is None:
            edge = self._known[place] = self._midnight(place * self.count)
        return edge

    def _midnight(self, number: int) -> int:
        """The first moment of the unit with this number; the beginning and the end of time outside of the calendar."""
        try:
            match self.unit:
                case "d":
                    day = date.fromordinal(_FIRST_DAY + number)
                case "w":
                    day = date.fromordinal(_FIRST_MONDAY + 7 * number)
                case "mo":
                    day = date(1970 + number // 12, number % 12 + 1, 1)
                case "y":
                    day = date(1970 + number, 1, 1)
            return to_ms(datetime(day.year, day.month, day.day, tzinfo=self.zone))
        except (ValueError, OverflowError):
            return _BEFORE_ALL if number < 0 else _AFTER_ALL


def edges_over(buckets: Buckets, since: int, until: int, most: int) -> list[int] | None:
    """The starts of the buckets from the one of `since` to the one before `until` (ms); None if more than `most`."""
    edges = [buckets.start_of(since)]
    while (following := buckets.following(edges[-1])) < until:
        edges.append(following)
        if len(edges) > most:
            return None
    return edges
