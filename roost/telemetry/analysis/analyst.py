"""The questions that can be asked about the history of devices, answered over the log's pieces."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from roost.core.clock import Clock, rfc3339_from_ms
from roost.telemetry.aggregates import SUMMARISED
from roost.telemetry.analysis.accumulation import MOST_CELLS, Accumulation, Piece, Series, too_many_buckets
from roost.telemetry.analysis.coverage import Coverage
from roost.telemetry.analysis.feeding import each, feed
from roost.telemetry.analysis.filling import Row, filled
from roost.telemetry.analysis.looking_back import latest_readings, newest_readings
from roost.telemetry.analysis.thinning import ThinnedSeries
from roost.telemetry.buckets import Buckets, OneBucket, edges_over
from roost.telemetry.frames import Frame
from roost.telemetry.log import Readable
from roost.telemetry.messages import Reading
from roost.telemetry.questions import BucketQuestion
from roost.telemetry.spans import FOREVER_MS, Span


class BucketEntry(NamedTuple):
    """One bucket of one series: which group it is about, how many devices gave readings, and what the answer says."""

    group: Hashable
    devices: int
    row: Row


class Analyst:
    """Answers from a log. Raises LogUnavailable, and Invalid for what would need too much memory."""

    def __init__(self, log: Readable, clock: Clock, history: Readable | None = None) -> None:
        """`history`: where what is asked for by its time is looked for, if not in the log alone."""
        self._log = log
        self._history = history or log
        self._clock = clock

    async def latest(self, device_id: int) -> list[Reading]:
        """The newest reading of every series that the log has of the device, by name."""
        return await latest_readings(self._log, device_id)

    async def newest(
        self, device_id: int, span: Span, limit: int, keys: Sequence[str], *, folded_before: int | None = None
    ) -> list[Reading]:
        """The newest `limit` readings of the span, newest first; of one moment by name, then the last arrival first.

        Before `folded_before` (ms) there may be buckets in place of readings: each is one, of its average.
        """
        return await newest_readings(
            self._history, device_id, span, limit,
            keys=keys, now_ms=self._clock.now_ms(), folded_before=folded_before or 0,
        )  # fmt: skip

    async def buckets(
        self, device_ids: Sequence[int], span: Span, question: BucketQuestion, keys: Sequence[str],
        group_of: Callable[[int], Hashable] | None = None,
    ) -> list[BucketEntry]:  # fmt: skip
        """Per group (by default per device), series and bucket: the asked aggregates, by time within a series."""
        gathered = Accumulation(question.buckets, question.aggregates, keys, group_of)
        await feed(self._history, device_ids, span, gathered.fold_all, keys=keys, whole=gathered.whole)
        return await asyncio.to_thread(lambda: _bucket_entries(list(gathered.series()), span, question))

    async def statistics(self, device_id: int, span: Span, keys: Sequence[str]) -> list[Row]:
        """Of each series over the whole span."""
        gathered = Accumulation(OneBucket(), SUMMARISED, keys)
        await feed(self._history, [device_id], span, gathered.fold_all, keys=keys, whole=gathered.whole)
        return [
            {"sensor_type": series.key, "unit": series.unit}
            | {name: cell.answer(name) for name in SUMMARISED}
            | {"first_at": rfc3339_from_ms(cell.first_at), "last_at": rfc3339_from_ms(cell.last_at)}
            for series in gathered.series()
            for cell in series.cells.values()
        ]

    async def thinned(self, device_id: int, span: Span, points: int, keys: Sequence[str]) -> list[Reading]:
        """At most `points` readings of each series, by name and time; see `ThinnedSeries` for which."""
        found: dict[str, ThinnedSeries] = {}

        def fold(piece: Piece) -> None:
            for key in piece.columns:
                if not keys or key in keys:
                    if key not in found:
                        found[key] = ThinnedSeries(key, points)
                    if isinstance(piece, Frame):
                        found[key].fold(piece.times, piece.columns[key])
                    else:
                        found[key].fold_summary(piece.columns[key])

        await feed(self._history, [device_id], span, each(fold), keys=keys)
        return await asyncio.to_thread(lambda: [reading for key in sorted(found) for reading in found[key].readings()])

    async def coverage(
        self, device_ids: Sequence[int], span: Span, edges: Sequence[int], keys: Sequence[str]
    ) -> Coverage:
        """Who was heard in which of the stretches that begin at `edges` and make up the span."""
        coverage = Coverage(span, edges, keys)
        await feed(self._history, device_ids, span, each(coverage.fold), keys=keys, whole=coverage.whole)
        return coverage


def _bucket_entries(found: list[Series], span: Span, question: BucketQuestion) -> list[BucketEntry]:
    edges = None if question.fill == "none" else _edges(found, span, question.buckets)
    entries = []
    for series in found:
        rows: dict[int, Row] = {
            start: {name: cell.answer(name) for name in question.aggregates} for start, cell in series.cells.items()
        }
        for start, row in rows.items() if edges is None else filled(rows, edges, question.fill):
            cell = series.cells.get(start)
            head = {"sensor_type": series.key, "unit": series.unit, "bucket": rfc3339_from_ms(start)}
            entries.append(BucketEntry(series.group, cell.devices if cell is not None else 0, head | row))
    return entries


def _edges(found: list[Series], span: Span, buckets: Buckets) -> list[int]:
    """All buckets of the span; where it is open, from the first or up to the last in which anything was heard."""
    if not found:
        return []
    first = min(next(iter(series.cells)) for series in found)
    last = max(next(reversed(series.cells)) for series in found)
    since = span.since if span.since > 0 else first
    until = span.until if span.until < FOREVER_MS else last + 1
    edges = edges_over(buckets, since, until, MOST_CELLS // len(found))
    if edges is None:
        raise too_many_buckets()
    return edges
