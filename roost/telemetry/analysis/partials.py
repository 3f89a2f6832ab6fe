"""What series held in buckets, as columns: partial results that are put together many at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roost.telemetry.frames import Times

Floats = npt.NDArray[np.float64]

# Of the columns, in the order of `Partials`.
_TYPES = (np.int64, np.int64, *[np.float64] * 5, np.int64, np.int64, np.float64, np.int64, np.int64, np.int64)

Row = tuple[int, int, float, float, float, float, float, int, int, float, int, int, int]


class Partials(NamedTuple):
    """A place in each column for what one device, or several one after the other, sent in one bucket.

    `starts`: of the buckets (ms). `first` and `last` by time; `spreads`: the sums of the squared distances from the
    average. `devices`: how many, of which the first and the last one taken in are known by their ids.
    """

    starts: Times
    counts: Times
    totals: Floats
    lows: Floats
    highs: Floats
    firsts: Floats
    lasts: Floats
    first_ats: Times
    last_ats: Times
    spreads: Floats
    devices: Times
    first_devices: Times
    last_devices: Times

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Partials":
        columns = zip(*rows, strict=True)
        return cls._make(np.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True))

    def take(self, places: npt.NDArray[np.intp]) -> "Partials":
        return Partials._make(column[places] for column in self)

    def rows(self) -> list[Row]:
        return list(zip(*(column.tolist() for column in self), strict=True))


def put_together(parts: Sequence[Partials]) -> Partials:
    """One place for each bucket, ascending. Of one device the parts come oldest first, and no device comes twice."""
    every = Partials._make(map(np.concatenate, zip(*parts, strict=True)))
    order = np.argsort(every.starts, kind="stable")
    every = every.take(order)
    begins = np.flatnonzero(np.diff(every.starts, prepend=every.starts[:1] - 1))
    if len(begins) == len(order):
        return every
    ends = np.append(begins[1:], len(order)) - 1
    # Of equal times the first one that was taken in is the first, and the last one the last.
    earliest = np.lexsort((every.first_ats, every.starts))[begins]
    latest = np.lexsort((every.last_ats, every.starts))[ends]
    counts = np.add.reduceat(every.counts, begins)
    # What is more than a double holds becomes infinite, and is told as the largest double later.
    with np.errstate(over="ignore", invalid="ignore"):
        totals = np.add.reduceat(every.totals, begins)
        distances = every.totals / every.counts - np.repeat(totals / counts, ends - begins + 1)
        spreads = np.add.reduceat(every.spreads + every.counts * distances * distances, begins)
    same = np.append(False, (every.first_devices[1:] == every.last_devices[:-1]) & (np.diff(every.starts) == 0))
    return Partials(
        every.starts[begins], counts, totals,
        np.minimum.reduceat(every.lows, begins), np.maximum.reduceat(every.highs, begins),
        every.firsts[earliest], every.lasts[latest], every.first_ats[earliest], every.last_ats[latest], spreads,
        np.add.reduceat(every.devices - same, begins), every.first_devices[begins], every.last_devices[ends],
    )  # fmt: skip
