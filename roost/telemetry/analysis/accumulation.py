"""Aggregates per series and bucket, gathered from frames and summaries as they come. Pure, and bounded in memory."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from roost.core.errors import Invalid
from roost.telemetry.aggregates import SHARES, from_summaries
from roost.telemetry.analysis.cells import Cell, Floats
from roost.telemetry.analysis.exactness import newest_unit
from roost.telemetry.buckets import Buckets, FixedBuckets
from roost.telemetry.frames import ColumnSummary, Frame, Summary, Times

MOST_CELLS = 50_000
MOST_VALUES = 4_000_000  # 32 MB: a year of a series that comes every ten seconds, and some

Piece = Frame | Summary
Name = tuple[Hashable, str]  # of a series: the group it counts for, and its key


class Series(NamedTuple):
    """One series of one group of devices: its newest known unit, and its cells by the start of their bucket (ms)."""

    group: Hashable
    key: str
    unit: str | None
    cells: dict[int, Cell]


class Accumulation:
    """Takes the pieces of a device oldest first, one device after the other, and gathers their readings into cells.

    `group_of` says which group a device (by id) counts for; by default each is one of its own. `keys`: only these
    series. Raises Invalid (code `too_many` or `too_much`) where the answer would not fit into memory.
    """

    def __init__(
        self, buckets: Buckets, aggregates: Sequence[str], keys: Collection[str] = (),
        group_of: Callable[[int], Hashable] | None = None,
    ) -> None:  # fmt: skip
        self._buckets = buckets
        self._aggregates = aggregates
        self._keys = frozenset(keys)
        self._group_of = group_of
        self._wants_values = any(name in SHARES for name in aggregates)
        self._wants_spread = "stddev" in aggregates
        self._series: dict[Name, dict[int, Cell]] = {}
        self._units: dict[Name, tuple[int, str]] = {}
        self._cells = 0
        self._values = 0

    def whole(self, start: int, end: int) -> bool:
        """Whether a summary of the stretch from `start` to `end` (included) does: for the store's `pieces`."""
        return from_summaries(self._aggregates) and self._buckets.start_of(start) == self._buckets.start_of(end)

    def fold(self, piece: Piece) -> None:
        group = piece.device_id if self._group_of is None else self._group_of(piece.device_id)
        if isinstance(piece, Summary):
            self._fold_summary(group, piece)
        elif len(piece.times):
            self._fold_frame(group, piece)

    def series(self) -> Iterator[Series]:
        """What was gathered, by group in the order of their first readings, then by name; cells by time."""
        order = {group: place for place, group in enumerate(dict.fromkeys(group for group, _ in self._series))}
        for group, key in sorted(self._series, key=lambda entry: (order[entry[0]], entry[1])):
            cells = self._series[group, key]
            for cell in cells.values():
                cell.settle(self._aggregates)
            _, unit = self._units.get((group, key), (0, None))
            yield Series(group, key, unit, dict(sorted(cells.items())))

    def _fold_summary(self, group: Hashable, summary: Summary) -> None:
        start = self._buckets.start_of(summary.start)
        for key, column in summary.columns.items():
            if not self._keys or key in self._keys:
                self._put((group, key), start, _cell_of(column, summary.device_id))
                self._note_unit((group, key), column.last_at, column.unit)

    def _fold_frame(self, group: Hashable, frame: Frame) -> None:
        starts = starts_of(self._buckets, frame.times)
        for key, column in frame.columns.items():
            if self._keys and key not in self._keys:
                continue
            values = column.floats()
            if not len(values):
                continue
            name = group, key
            if column.present is None:
                self._fold_column(name, frame.device_id, starts, frame.times, values)
            else:
                here, times = starts[column.present], frame.times[column.present]
                self._fold_column(name, frame.device_id, here, times, values)
            self._note_unit(name, int(frame.times[-1]), newest_unit(column))

    def _fold_column(self, name: Name, device_id: int, starts: Times, times: Times, values: Floats) -> None:
        begins = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
        ends = np.append(begins[1:], len(values))
        counts = ends - begins
        # What is more than a double holds becomes infinite, and is told as the largest double later.
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.add.reduceat(values, begins)
            spreads = self._spreads(values, begins, counts, totals)
        columns = (
            counts, totals, np.minimum.reduceat(values, begins), np.maximum.reduceat(values, begins),
            values[begins], values[ends - 1], times[begins], times[ends - 1], spreads,
        )  # fmt: skip
        cells = [Cell(device_id, *parts) for parts in zip(*(part.tolist() for part in columns), strict=True)]
        for place, (start, cell) in enumerate(zip(starts[begins].tolist(), cells, strict=True)):
            if self._wants_values:
                cell.values.append(values[begins[place] : ends[place]])
            self._put(name, start, cell)

    def _spreads(self, values: Floats, begins: Times, counts: Times, totals: Floats) -> Floats:
        if not self._wants_spread:
            return np.zeros(len(begins))
        distances = values - np.repeat(totals / counts, counts)
        spreads: Floats = np.add.reduceat(distances * distances, begins)
        return spreads

    def _put(self, name: Name, start: int, cell: Cell) -> None:
        cells = self._series.setdefault(name, {})
        known = cells.get(start)
        if self._wants_values:
            if known is None and cells and self._group_of is None:
                # A device's buckets come one after the other: the one before is complete.
                self._values -= next(reversed(cells.values())).settle(self._aggregates)
            self._hold(cell.count)
        if known is not None:
            known.take_in(cell)
            return
        self._cells += 1
        if self._cells > MOST_CELLS:
            raise too_many_buckets()
        cells[start] = cell

    def _hold(self, count: int) -> None:
        self._values += count
        if self._values > MOST_VALUES:
            raise Invalid(
                f"Percentiles are exact, and these need more than {MOST_VALUES:,} readings at once: ask for narrower"
                " buckets, fewer series or devices, or a shorter time; or for avg, min and max, which have no limit.",
                code="too_much",
            )

    def _note_unit(self, name: Name, at: int, unit: str | None) -> None:
        if unit is not None and at >= self._units.get(name, (at, ""))[0]:
            self._units[name] = (at, unit)


def starts_of(buckets: Buckets, times: Times) -> Times:
    """For each of the ascending times, at least one, the start of its bucket."""
    if isinstance(buckets, FixedBuckets):
        return times - times % buckets.width_ms
    edges = np.array(buckets.edges(int(times[0]), int(times[-1])), dtype=np.int64)
    return edges[np.searchsorted(edges, times, side="right") - 1]


def too_many_buckets() -> Invalid:
    return Invalid(
        f"That would be more than {MOST_CELLS:,} buckets; ask for wider ones, a shorter time or fewer series.",
        code="too_many",
    )


def _cell_of(column: ColumnSummary, device_id: int) -> Cell:
    return Cell(
        device_id, column.count, column.sum, column.min, column.max, column.first, column.last, column.first_at,
        column.last_at,
    )  # fmt: skip
