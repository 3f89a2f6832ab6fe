"""How much came from whom, and when nothing did."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from roost.telemetry.aggregates import SUMMARISED
from roost.telemetry.analysis.accumulation import Accumulation, Piece, Series
from roost.telemetry.buckets import OneBucket
from roost.telemetry.frames import Column, Frame, Mask, Times
from roost.telemetry.spans import Span


@dataclass(slots=True)
class Heard:
    """What came from one device; bit n of `stretches` says whether something did in the span's n-th stretch."""

    readings: int = 0
    last_at: int = 0
    stretches: int = 0
    keys: set[str] = field(default_factory=set)


class Coverage:
    """Takes in pieces, device by device, and notes in which stretches of the span each was heard.

    `edges` are the starts of the stretches, the first of them not later than the span's. `keys`: only these series.
    """

    def __init__(self, span: Span, edges: Sequence[int], keys: Collection[str] = ()) -> None:
        self._span = span
        self._edges = edges
        self._edge_array: Times = np.array(edges, dtype=np.int64)
        self._keys = frozenset(keys)
        self._by_key = Accumulation(OneBucket(), SUMMARISED, keys, group_of=lambda _: None)
        self.by_device: dict[int, Heard] = {}

    def whole(self, start: int, end: int) -> bool:
        """Whether a summary of this stretch of time does: for the store's `pieces`."""
        return self._place(start) == self._place(end)

    def fold(self, piece: Piece) -> None:
        columns = {key: column for key, column in piece.columns.items() if not self._keys or key in self._keys}
        if not columns:
            return
        self._by_key.fold(piece)
        heard = self.by_device.setdefault(piece.device_id, Heard())
        heard.keys |= columns.keys()
        if isinstance(piece, Frame):
            rows = _rows(piece, columns)
            heard.readings += sum(_count(piece.columns[key]) for key in columns)
            places = np.unique(np.searchsorted(self._edge_array, piece.times[rows], side="right") - 1)
            for place in places.tolist():
                heard.stretches |= 1 << place
            heard.last_at = max(heard.last_at, int(piece.times[rows][-1]))
        else:
            summaries = [piece.columns[key] for key in columns]
            heard.readings += sum(column.count for column in summaries)
            heard.stretches |= 1 << self._place(piece.start)
            heard.last_at = max(heard.last_at, *(column.last_at for column in summaries))

    @property
    def stretches(self) -> int:
        """How many there are."""
        return len(self._edges)

    def series(self) -> Iterator[Series]:
        """What came of each series from all devices together, by name, as one cell."""
        return self._by_key.series()

    def completeness(self, device_id: int) -> float:
        """In which share of the stretches the device was heard."""
        heard = self.by_device.get(device_id)
        return heard.stretches.bit_count() / len(self._edges) if heard is not None else 0.0

    def gaps(self, device_id: int, most: int) -> list[Span]:
        """The `most` longest runs of stretches without a reading, by time."""
        heard = self.by_device.get(device_id, Heard())
        runs: list[Span] = []
        for place, edge in enumerate(self._edges):
            end = self._edges[place + 1] if place + 1 < len(self._edges) else self._span.until
            if heard.stretches >> place & 1:
                continue
            if runs and runs[-1].until == edge:
                runs[-1] = Span(runs[-1].since, end)
            else:
                runs.append(Span(max(edge, self._span.since), end))
        longest = sorted(runs, key=lambda run: run.since - run.until)[:most]
        return sorted(longest)

    def _place(self, moment: int) -> int:
        return bisect_right(self._edges, moment) - 1


def _rows(frame: Frame, keys: Collection[str]) -> Mask:
    """Which rows have a value of any of these series."""
    rows: Mask = np.zeros(len(frame.times), dtype=np.bool_)
    for key in keys:
        present = frame.columns[key].present
        rows |= True if present is None else present
    return rows


def _count(column: Column) -> int:
    return len(column.values) if column.present is None else int(np.count_nonzero(column.present))
