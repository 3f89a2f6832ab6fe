"""From the newest readings backwards: pages of them, and the last one of every series."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

import numpy as np

from roost.telemetry.analysis.accumulation import Piece
from roost.telemetry.analysis.exactness import newest_first, newest_unit, reading_at
from roost.telemetry.analysis.feeding import each, feed
from roost.telemetry.frames import Column, Frame, Summary, Times
from roost.telemetry.log import Readable
from roost.telemetry.messages import Reading
from roost.telemetry.spans import Span

FIRST_WINDOW_MS = 3_600_000
WIDER = 4


def windows(span: Span, now_ms: int) -> list[Span]:
    """`span` in pieces, newest first, each four times as long as the one before.

    Most who ask want the newest; whoever looks for what was long ago finds it in a dozen steps.
    """
    found = []
    end, width = span.until, FIRST_WINDOW_MS
    # A device's clock may be ahead of ours: the first window has no other end than the span's.
    start = max(min(end, now_ms) - width, span.since)
    while True:
        found.append(Span(start, end))
        if start <= span.since:
            return found
        width *= WIDER
        end, start = start, max(start - width, span.since)


async def newest_readings(
    log: Readable, device_id: int, span: Span, limit: int, *, keys: Sequence[str], now_ms: int, folded_before: int = 0
) -> list[Reading]:
    """The newest `limit` readings of the span, newest first; of one moment by name, then the last arrival first.

    Summaries that begin before `folded_before` (ms) are all that is left of what they stand for: one reading each.
    """
    found: list[Reading] = []
    for window in windows(span, now_ms):
        newest = _Newest(limit, keys, folded_before)
        # A series that has long been silent is looked for in summaries, and only what holds it is decoded.
        await feed(
            log, [device_id], window, each(newest.fold), keys=keys,
            whole=lambda start, end: start >= folded_before,  # noqa: ARG005 - however much it is
        )  # fmt: skip
        for piece in reversed(newest.pieces):
            for part in reversed(await _parts_of(log, piece, newest)):
                found += await asyncio.to_thread(newest.readings, part, limit - len(found))
                if len(found) >= limit:
                    return found
    return found


async def _parts_of(log: Readable, piece: Piece, newest: "_Newest") -> list[Piece]:
    """The piece itself, or what a summary stands for."""
    if isinstance(piece, Frame) or newest.is_bucket(piece):
        return [piece]
    decoded = newest.another()
    await feed(log, [piece.device_id], Span(piece.start, piece.end + 1), each(decoded.fold), keys=newest.keys)
    return decoded.pieces


class _Newest:
    """The last pieces of those that come by, as many as hold `limit` readings."""

    def __init__(self, limit: int, keys: Sequence[str], folded_before: int) -> None:
        self.keys = keys
        self._limit = limit
        self._keys = frozenset(keys)
        self._folded_before = folded_before
        self._counted: deque[tuple[int, Piece]] = deque()
        self._held = 0

    def another(self) -> "_Newest":
        """The same for other pieces."""
        return _Newest(self._limit, self.keys, self._folded_before)

    def is_bucket(self, summary: Summary) -> bool:
        """Whether nothing finer is left than this summary."""
        return summary.start < self._folded_before

    @property
    def pieces(self) -> list[Piece]:
        return [piece for _, piece in self._counted]

    def fold(self, piece: Piece) -> None:
        if isinstance(piece, Frame):
            count = int(self._counts(piece).sum())
        elif self.is_bucket(piece):
            count = len(piece.columns)
        else:
            count = sum(column.count for key, column in piece.columns.items() if not self._keys or key in self._keys)
        if not count:
            return
        self._counted.append((count, piece))
        self._held += count
        while self._held - self._counted[0][0] >= self._limit:
            self._held -= self._counted.popleft()[0]

    def readings(self, piece: Piece, wanted: int) -> list[Reading]:
        """The newest readings of one of the pieces, `wanted` of them or all."""
        if isinstance(piece, Frame):
            return newest_first(piece, self._first_row(piece, wanted), self._keys)[:wanted]
        width_ms = piece.end - piece.start + 1
        return [
            # A sum that no double holds must not make an average that JSON cannot carry.
            Reading(key, min(max(c.sum / c.count, c.min), c.max), c.unit, piece.start, width_ms)
            for key, c in sorted(piece.columns.items())
        ][:wanted]

    def _counts(self, frame: Frame) -> Times:
        """How many readings each row has."""
        counts = np.zeros(len(frame.times), np.int64)
        for key, column in frame.columns.items():
            if not self._keys or key in self._keys:
                counts += 1 if column.present is None else column.present
        return counts

    def _first_row(self, frame: Frame, wanted: int) -> int:
        """From which row on there are `wanted` readings or all; never in the middle of a moment."""
        from_the_end = np.cumsum(self._counts(frame)[::-1])
        row = len(frame.times) - 1 - int(np.searchsorted(from_the_end, wanted))
        return 0 if row <= 0 else int(np.searchsorted(frame.times, frame.times[row]))


async def latest_readings(log: Readable, device_id: int) -> list[Reading]:
    """The newest reading of every series that the device ever sent, with the newest unit that the series had."""
    latest = _Latest()
    await feed(log, [device_id], Span(), each(latest.fold), whole=lambda start, end: True)  # noqa: ARG005 - any
    # A summary knows the last value as a double only: the reading itself stands in the block.
    for moment, keys in latest.inexact().items():
        await feed(log, [device_id], Span(moment, moment + 1), each(latest.fold), keys=keys)
    return [latest.readings[key] for key in sorted(latest.readings)]


class _Latest:
    """The last reading of each series among the pieces that come by."""

    def __init__(self) -> None:
        self.readings: dict[str, Reading] = {}
        self._inexact: set[str] = set()

    def fold(self, piece: Piece) -> None:
        for key, column in piece.columns.items():
            known = self.readings.get(key)
            if isinstance(column, Column):
                rows = np.arange(len(column.values)) if column.present is None else np.flatnonzero(column.present)
                if not len(rows):
                    continue
                reading = reading_at(key, cast("Frame", piece).times, column, int(rows[-1]))
                if known is not None and reading.timestamp < known.timestamp:
                    continue  # of another series than the one that this frame was fetched for
                unit = newest_unit(column)
                self._inexact.discard(key)
            else:
                reading = Reading(key, column.last, None, column.last_at)
                unit = column.unit
                self._inexact.add(key)
            if unit is None and known is not None:
                unit = known.unit
            reading.unit = unit
            self.readings[key] = reading

    def inexact(self) -> dict[int, list[str]]:
        """By the time of their last readings, the series of which only a summary was seen."""
        moments: dict[int, list[str]] = {}
        for key in sorted(self._inexact):
            moments.setdefault(self.readings[key].timestamp, []).append(key)
        return moments
