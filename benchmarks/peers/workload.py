"""The same readings for every peer, and what the answers to the questions about them must be."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.walks import Times, Values, random_walks

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
WEEK_MS, YEAR_MS = 7 * DAY_MS, 365 * DAY_MS
SERIES = 5
# As many as the hub takes in one request; a peer that takes more gets several at once.
BATCH_ROWS = 500

Averages = dict[int, float]
"""The start of a bucket in milliseconds, and the average of the readings in it."""


class Batch(NamedTuple):
    """Consecutive readings of one device: `values[series][row]` at `times[row]`."""

    device: int
    times: list[int]
    values: list[list[float]]


@dataclass(frozen=True)
class ReadingSet:
    """Devices that send five series each at the same pace, until `end`; a key is the set's name and a number."""

    name: str
    devices: int
    rows: int
    span: int
    end: int

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(f"{self.name}_{number}" for number in range(SERIES))

    @property
    def points(self) -> int:
        return self.devices * self.rows * SERIES

    def walk(self, device: int) -> tuple[Times, list[Values]]:
        """All of one device, the same at every call."""
        rng = np.random.default_rng([len(self.name), self.rows, device])
        times, columns = random_walks(rng, self.keys, rows=self.rows, span=self.span, end=self.end)
        return times, list(columns.values())

    def batches(self, devices: int | None = None) -> Iterator[Batch]:
        """In turns, as devices send: a batch of each device, then the next of each; of the first `devices` only."""
        walks = [self.walk(device) for device in range(devices or self.devices)]
        for start in range(0, self.rows, BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            for device, (times, columns) in enumerate(walks):
                yield Batch(device, times[part].tolist(), [column[part].tolist() for column in columns])

    def averages(self, device: int, series: int, width: int) -> Averages:
        """Of one series, in buckets of `width` counted from 1970."""
        times, columns = self.walk(device)
        buckets, places, counts = np.unique(times // width * width, return_inverse=True, return_counts=True)
        sums = np.bincount(places, weights=columns[series])
        return dict(zip(buckets.tolist(), (sums / counts).tolist(), strict=True))

    def average_of_all(self) -> list[float]:
        """Of each series, all devices together."""
        return [
            float(each) for each in np.mean([np.mean(self.walk(n)[1], axis=1) for n in range(self.devices)], axis=0)
        ]


@dataclass(frozen=True)
class Workload:
    """A day of devices that send every ten seconds, a year of one device, and a week of many."""

    day: ReadingSet
    year: ReadingSet
    week: ReadingSet

    @property
    def sets(self) -> tuple[ReadingSet, ...]:
        return (self.day, self.year, self.week)


DAY_BUCKET_MS = 3 * MINUTE_MS
YEAR_BUCKET_MS = YEAR_MS // 500


def workload(*, quick: bool) -> Workload:
    """All of it ends at the same moment, a bound of all buckets; `quick` has an eighth of the devices."""
    end = int(time.time() * 1000) // WEEK_MS * WEEK_MS
    share = 8 if quick else 1
    return Workload(
        day=ReadingSet("day", devices=24 // share, rows=8640, span=DAY_MS, end=end),
        year=ReadingSet("year", devices=1, rows=YEAR_MS // MINUTE_MS // share, span=YEAR_MS, end=end),
        week=ReadingSet("week", devices=2_000 // share, rows=7 * 24, span=WEEK_MS, end=end),
    )
