"""Aggregates per series and bucket, gathered from frames and summaries as they come. Pure, and bounded in memory."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roost.core.errors import Invalid
from roost.telemetry.aggregates import SHARES, from_summaries
from roost.telemetry.analysis.cells import Cell, percentile
from roost.telemetry.analysis.exactness import newest_unit
from roost.telemetry.analysis.partials import Floats, Partials, Row, put_together
from roost.telemetry.buckets import Buckets, FixedBuckets
from roost.telemetry.frames import Frame, Summary, Times

MOST_CELLS = 50_000
# Partial results that may wait to be put together, and up to how many of them stay rows in a piece.
UNSETTLED = 25_000
FEW = 16
MOST_VALUES = 4_000_000  # 32 MB: a year of a series that comes every ten seconds, and some

# Where buckets have fewer times each than this, every time is looked at; elsewhere only the edges are looked up.
NARROW = 4

Piece = Frame | Summary
Places = npt.NDArray[np.intp]
Name = tuple[Hashable, str]  # of a series: the group it counts for, and its key


class Series(NamedTuple):
    """One series of one group of devices: its newest known unit, and its cells by the start of their bucket (ms)."""

    group: Hashable
    key: str
    unit: str | None
    cells: dict[int, Cell]


class _Gathered:
    """What is known of one series: partial results, of which few stand in `rows` as they came and many in `tables`."""

    __slots__ = ("percentiles", "rows", "tables", "unit", "unit_at", "values")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.tables: list[Partials] = []
        self.values: dict[int, list[Floats]] = {}
        self.percentiles: dict[int, dict[str, float]] = {}
        self.unit: str | None = None
        self.unit_at = 0

    def add(self, partials: Partials) -> None:
        if len(partials.starts) <= FEW:
            self.rows += partials.rows()
        else:
            self._close_rows()
            self.tables.append(partials)

    def settled(self) -> Partials:
        """Everything, one place for each bucket."""
        self._close_rows()
        self.tables = [put_together(self.tables)]
        return self.tables[0]

    def _close_rows(self) -> None:
        if self.rows:
            self.tables.append(Partials.of(self.rows))
            self.rows = []

    def note_unit(self, at: int, unit: str | None) -> None:
        if unit is not None and at >= self.unit_at:
            self.unit, self.unit_at = unit, at


class _Batch:
    """What a batch of pieces has of one series: rows out of summaries; times and values by device out of frames.

    `ranks`: of the devices, in the order in which they came.
    """

    __slots__ = ("frames", "ranks", "rows")

    def __init__(self) -> None:
        self.ranks: dict[int, int] = {}
        self.rows: list[Row] = []
        self.frames: dict[int, list[tuple[Times, Floats]]] = {}


class Accumulation:
    """Takes the pieces of a device oldest first, one device after the other, and gathers their readings into cells.

    `group_of` says which group a device (by id) counts for; by default each is one of its own. `keys`: only these
    series. Raises Invalid (code `too_many` or `too_much`) where the answer would not fit into memory, or (code
    `downsampled`) where only summaries are left of what it would have to be told from.
    """

    def __init__(
        self, buckets: Buckets, aggregates: Sequence[str], keys: Collection[str] = (),
        group_of: Callable[[int], Hashable] | None = None,
    ) -> None:  # fmt: skip
        self._buckets = buckets
        self._keys = frozenset(keys)
        self._group_of = group_of
        self._shares = {name: SHARES[name] for name in aggregates if name in SHARES}
        self._wants_spread = "stddev" in aggregates
        self._summarised = from_summaries(aggregates)
        self._series: dict[Name, _Gathered] = {}
        self._partials = self._settled = 0
        self._values = 0

    def whole(self, start: int, end: int) -> bool:
        """Whether a summary of the stretch from `start` to `end` (included) does: for the store's `pieces`."""
        return self._summarised and self._buckets.start_of(start) == self._buckets.start_of(end)

    def fold(self, piece: Piece) -> None:
        self.fold_all([piece])

    def fold_all(self, pieces: Sequence[Piece]) -> None:
        """Takes many pieces, which come device by device: what numpy does once for all of them costs little."""
        batch: dict[Name, _Batch] = {}
        for piece in pieces:
            group = piece.device_id if self._group_of is None else self._group_of(piece.device_id)
            if isinstance(piece, Summary):
                self._gather_summary(batch, group, piece)
            elif len(piece.times):
                self._gather_frame(batch, group, piece)
        for name, part in batch.items():
            self._fold(self._series[name], part)
        if self._partials > self._settled + UNSETTLED:
            self._settle()

    def series(self) -> Iterator[Series]:
        """What was gathered, by group in the order of their first readings, then by name; cells by time."""
        self._settle()
        order = {group: place for place, group in enumerate(dict.fromkeys(group for group, _ in self._series))}
        for group, key in sorted(self._series, key=lambda entry: (order[entry[0]], entry[1])):
            gathered = self._series[group, key]
            for start in list(gathered.values):
                self._settle_values(gathered, start)
            cells = {
                row[0]: Cell(*row[1:11], percentiles=gathered.percentiles.get(row[0], {}))
                for row in gathered.settled().rows()
            }
            yield Series(group, key, gathered.unit, cells)

    def _gather_summary(self, batch: dict[Name, _Batch], group: Hashable, summary: Summary) -> None:
        if not self._summarised:
            raise Invalid(
                "Of some of this time only what buckets held is kept, which is enough for avg, min, max, sum, count,"
                " first and last; ask for those, or for a later `from`.",
                code="downsampled",
            )
        start, device_id = self._buckets.start_of(summary.start), summary.device_id
        for key, column in summary.columns.items():
            if self._keys and key not in self._keys:
                continue
            self._noted((group, key), column.last_at, column.unit)
            _part_of(batch, (group, key), device_id).rows.append(
                (
                    start, column.count, column.sum, column.min, column.max, column.first, column.last,
                    column.first_at, column.last_at, 0.0, 1, device_id, device_id,
                )
            )  # fmt: skip

    def _gather_frame(self, batch: dict[Name, _Batch], group: Hashable, frame: Frame) -> None:
        for key, column in frame.columns.items():
            if self._keys and key not in self._keys:
                continue
            values = column.floats()
            if len(values):
                self._noted((group, key), int(frame.times[-1]), newest_unit(column))
                times = frame.times if column.present is None else frame.times[column.present]
                _part_of(batch, (group, key), frame.device_id).frames.setdefault(frame.device_id, []).append(
                    (times, values)
                )

    def _fold(self, gathered: _Gathered, part: _Batch) -> None:
        self._partials += len(part.rows)
        if not part.frames:
            gathered.rows += part.rows
            return
        decoded = self._decoded(gathered, part.frames)
        self._partials += len(decoded.starts)
        if part.rows:
            # The parts of a device side by side: so a device that is in a bucket twice is known to be one.
            decoded = Partials._make(map(np.concatenate, zip(decoded, Partials.of(part.rows), strict=True)))
            ranks = [part.ranks[device_id] for device_id in decoded.first_devices.tolist()]
            decoded = decoded.take(np.argsort(ranks, kind="stable"))
        gathered.add(decoded)

    def _decoded(self, gathered: _Gathered, frames: dict[int, list[tuple[Times, Floats]]]) -> Partials:
        """A place for each device and bucket of what frames hold."""
        times = _concatenated([times for parts in frames.values() for times, _ in parts])
        values = _concatenated([values for parts in frames.values() for _, values in parts])
        starts, begins, devices = self._places(times, frames)
        ends = np.append(begins[1:], len(values))
        counts = ends - begins
        # What is more than a double holds becomes infinite, and is told as the largest double later.
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.add.reduceat(values, begins)
            spreads = self._spreads(values, begins, counts, totals)
        if self._shares:
            for start, begin, end in zip(starts.tolist(), begins.tolist(), ends.tolist(), strict=True):
                self._hold(gathered, start, values[begin:end])
        return Partials(
            starts, counts, totals,
            np.minimum.reduceat(values, begins), np.maximum.reduceat(values, begins),
            values[begins], values[ends - 1], times[begins], times[ends - 1], spreads,
            np.ones(len(begins), np.int64), devices, devices,
        )  # fmt: skip

    def _places(self, times: Times, frames: dict[int, list[tuple[Times, Floats]]]) -> tuple[Times, Places, Times]:
        """The starts of the buckets of each device in turn, where these begin in `times`, and whose they are."""
        starts: list[int] = []
        begins: list[int] = []
        devices: list[int] = []
        begin = 0
        for device_id, parts in frames.items():
            end = begin + sum(len(part) for part, _ in parts)
            first = self._buckets.start_of(int(times[begin]))
            if first == self._buckets.start_of(int(times[end - 1])):
                starts.append(first)
                begins.append(begin)
                devices.append(device_id)
            else:
                found, places = divided(self._buckets, times[begin:end])
                starts += found.tolist()
                begins += (places + begin).tolist()
                devices += [device_id] * len(found)
            begin = end
        return np.array(starts, np.int64), np.array(begins, np.intp), np.array(devices, np.int64)

    def _spreads(self, values: Floats, begins: Times, counts: Times, totals: Floats) -> Floats:
        if not self._wants_spread:
            return np.zeros(len(begins))
        distances = values - np.repeat(totals / counts, counts)
        spreads: Floats = np.add.reduceat(distances * distances, begins)
        return spreads

    def _noted(self, name: Name, at: int, unit: str | None) -> None:
        found = self._series.get(name)
        if found is None:
            found = self._series[name] = _Gathered()
        found.note_unit(at, unit)

    def _settle(self) -> None:
        """Puts together what belongs to the same buckets, so that there is as much as buckets and not more."""
        self._settled = self._partials = sum(len(gathered.settled().starts) for gathered in self._series.values())
        if self._settled > MOST_CELLS:
            raise too_many_buckets()

    def _hold(self, gathered: _Gathered, start: int, values: Floats) -> None:
        """Keeps the values of a bucket until its percentiles can be told."""
        if self._group_of is None and start not in gathered.values:
            # A device's buckets come one after the other: the one before is complete.
            for complete in list(gathered.values):
                self._settle_values(gathered, complete)
        self._values += len(values)
        if self._values > MOST_VALUES:
            raise Invalid(
                f"Percentiles are exact, and these need more than {MOST_VALUES:,} readings at once: ask for narrower"
                " buckets, fewer series or devices, or a shorter time; or for avg, min and max, which have no limit.",
                code="too_much",
            )
        gathered.values.setdefault(start, []).append(values)

    def _settle_values(self, gathered: _Gathered, start: int) -> None:
        ordered = np.sort(np.concatenate(gathered.values.pop(start)))
        self._values -= len(ordered)
        gathered.percentiles[start] = {name: percentile(ordered, share) for name, share in self._shares.items()}


def _part_of(batch: dict[Name, _Batch], name: Name, device_id: int) -> _Batch:
    part = batch.get(name)
    if part is None:
        part = batch[name] = _Batch()
    part.ranks.setdefault(device_id, len(part.ranks))
    return part


def _concatenated(parts: "Sequence[npt.NDArray[Any]]") -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def divided(buckets: Buckets, times: Times) -> tuple[Times, Places]:
    """Of the ascending times, at least one: the starts of their buckets, and at which place each of these begins."""
    first, last = int(times[0]), int(times[-1])
    if isinstance(buckets, FixedBuckets) and (last - first) // buckets.width_ms > len(times) // NARROW:
        every = times - times % buckets.width_ms
        begins = np.flatnonzero(np.append(True, every[1:] != every[:-1]))
        return every[begins], begins
    edges = np.array(buckets.edges(first, last), np.int64)
    bounds = np.append(np.searchsorted(times, edges), len(times))
    bounds[0] = 0  # the first bucket may begin before the first time
    filled = np.diff(bounds) > 0
    return edges[filled], bounds[:-1][filled]


def too_many_buckets() -> Invalid:
    return Invalid(
        f"That would be more than {MOST_CELLS:,} buckets; ask for wider ones, a shorter time or fewer series.",
        code="too_many",
    )
