"""What is left of a stretch of time in the log, in the archive and as buckets, put together: no reading twice. Pure.

The log and the archive may both have a reading: the same value of a series at the same moment is one. A bucket holds
what has gone from the log, and the archive may have some or all of that.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from roost.telemetry.analysis.partials import Partials, put_together
from roost.telemetry.blocks.stretch import Stretch, joined
from roost.telemetry.frames import ColumnSummary, Frame, Mask, Summary, Times
from roost.telemetry.log import CoarseRow
from roost.telemetry.retention import coarse as buckets
from roost.telemetry.retention.coarse import Coarse

Whole = Callable[[int, int], bool]

# Rows of the archive count as having arrived after all of the log: of a reading that both have, the log's is the one.
_ARCHIVED = 2**40


def pieces_of(
    device_id: int, hot: Sequence[Frame], archived: Sequence[Frame], rows: Sequence[CoarseRow], *,
    span: tuple[int, int], keys: Sequence[str] = (), whole: Whole | None = None,
) -> Iterator[Frame | Summary]:  # fmt: skip
    """`merged`, of buckets as they are stored.

    Raises:
        LogUnavailable: some buckets are damaged.
    """
    found = []
    for row in rows:
        with buckets.naming_damage(device_id, row.start):
            known = buckets.decode(device_id, row.width_ms, row.data, keys)
        inside = buckets.between(known, *span)
        if not inside.is_empty:
            found.append(inside)
    yield from merged(device_id, hot, archived, found, span=span, whole=whole)


def merged(
    device_id: int, hot: Sequence[Frame], archived: Sequence[Frame], coarse: Sequence[Coarse], *,
    span: tuple[int, int], whole: Whole | None = None,
) -> Iterator[Frame | Summary]:  # fmt: skip
    """Pieces of what the log (`hot`), the archive and buckets have from `span[0]` to before `span[1]` (ms).

    Buckets count where they begin. Of one whose readings the archive has, the readings are given, unless `whole` says
    that a summary does. Other buckets are summaries, asked for or not: nothing finer is left. Log and archive have to
    be given beyond the span where buckets reach beyond it. Pieces come by their start; where all buckets are summed up
    because `whole` says so, those of each series do.
    """
    since, until = span
    raw = _Raw(device_id, hot, archived)
    found: dict[tuple[int, int, int], dict[str, ColumnSummary]] = {}
    series: set[str] = set()
    every = raw.keys

    def inside(start: int, end: int) -> bool:
        return whole is not None and since <= start and end < until and whole(start, end)

    for one in coarse:
        for key, start, end, held in _taken(raw, one, inside):
            # What nobody asked to be summed up is in its place among the readings of all series.
            series.add(key)
            if not inside(start, end):
                series |= every
            found.setdefault((start, end, one.width_ms), {})[key] = held
    yield from raw.frames(lambda key: key not in series, since, until)
    mixed = any(raw.frames(series.__contains__, since, until))
    position = since
    for start, end, width_ms in sorted(found):
        if mixed:
            yield from raw.frames(series.__contains__, position, start)
            position = start
        yield Summary(device_id, start, end, found[start, end, width_ms])
    if mixed:
        yield from raw.frames(series.__contains__, position, until)


class _Raw:
    """Readings of the log and of the archive as one, of which some turn out to be in buckets."""

    def __init__(self, device_id: int, hot: Sequence[Frame], archived: Sequence[Frame]) -> None:
        parts = [_stretch(frame, 0) for frame in hot] + [_stretch(frame, _ARCHIVED) for frame in archived]
        self._device_id = device_id
        self._frame = Frame(device_id, np.empty(0, np.int64), {})
        self._archived: Mask = np.empty(0, np.bool_)
        if parts:
            stretch = joined(parts)
            self._frame = stretch.frame()
            self._archived = stretch.ids >= _ARCHIVED

    def take(self, key: str, partials: Partials, width_ms: int, usable: Mask) -> tuple[Mask, Partials]:
        """Which of these buckets count, and all of them with what has come since; their readings are not given."""
        column = self._frame.columns.get(key)
        if column is None:
            return np.ones(len(partials.starts), np.bool_), partials
        places = np.arange(len(self._frame.times)) if column.present is None else np.flatnonzero(column.present)
        times = self._frame.times[places]
        of = np.searchsorted(partials.starts, times, "right") - 1
        inside = (of >= 0) & (times < partials.starts[of] + width_ms)
        archived = self._archived[places]
        counts = np.bincount(of[inside & archived], minlength=len(partials.starts))
        # With more than the bucket counts, the archive has readings that went before buckets were kept.
        taken = np.where(usable, counts <= partials.counts, counts < partials.counts)
        goes = inside & taken[of]
        late = goes & ~archived
        if late.any():
            values = column.values[places[late]].astype(np.float64)
            here = buckets.partials_of(width_ms, times[late], values)
            partials = put_together([partials, here])
        present = np.zeros(len(self._frame.times), np.bool_)
        present[places[~goes]] = True
        self._frame.columns[key] = column._replace(present=present)
        return taken, partials

    @property
    def keys(self) -> set[str]:
        """Of all series that the log or the archive has."""
        return set(self._frame.columns)

    def frames(self, wanted: Callable[[str], bool], since: int, until: int) -> Iterator[Frame]:
        """What is left of some series from `since` to before `until` (ms)."""
        first, stop = np.searchsorted(self._frame.times, (since, until))
        columns = {key: column for key, column in self._frame.columns.items() if wanted(key)}
        if first == stop or not columns:
            return
        stretch = _stretch(Frame(self._device_id, self._frame.times, columns), 0).part(int(first), int(stop))
        rows: Mask = np.zeros(stretch.rows, np.bool_)
        for column in stretch.columns.values():
            rows |= True if column.present is None else column.present
        if rows.any():
            left = stretch if rows.all() else stretch.take(np.flatnonzero(rows))
            yield Frame(self._device_id, left.times, left.columns)


def _stretch(frame: Frame, first_id: int) -> Stretch:
    ids: Times = np.arange(first_id, first_id + len(frame.times))
    return Stretch(frame.device_id, frame.times, ids, frame.times, None, frame.columns)


def _taken(raw: _Raw, coarse: Coarse, whole: Whole) -> Iterator[tuple[str, int, int, ColumnSummary]]:
    """Series, first and last moment of what is summed up, and what it holds."""
    starts = np.unique(np.concatenate([partials.starts for partials in coarse.series.values()]))
    firsts, usable = _runs(starts, coarse.width_ms, whole)
    lasts = dict(zip(starts[firsts].tolist(), starts.tolist(), strict=True))
    for key, partials in coarse.series.items():
        places = np.searchsorted(starts, partials.starts)
        taken, known = raw.take(key, partials, coarse.width_ms, usable[places])
        if not taken.any():
            continue
        known, places = buckets.part(known, taken), places[taken]
        known = put_together([known._replace(starts=starts[firsts[places]])])
        for start, held in zip(known.starts.tolist(), buckets.summaries(known, coarse.units.get(key)), strict=True):
            yield key, start, lasts[start] + coarse.width_ms - 1, held


def _runs(starts: Times, width_ms: int, whole: Whole) -> tuple[Times, Mask]:
    """For each bucket the place of the first one that it can be summed up with, and whether that was asked for."""
    firsts: Times = np.arange(len(starts))
    usable: Mask = np.zeros(len(starts), np.bool_)
    first = 0
    while first < len(starts):
        start = int(starts[first])
        last = first
        if whole(start, start + width_ms - 1):
            # The buckets that go together follow each other: the last one is found in ever longer, then shorter steps.
            step = 1
            while last + step < len(starts) and whole(start, int(starts[last + step]) + width_ms - 1):
                last += step
                step *= 2
            while step > 1:
                step //= 2
                if last + step < len(starts) and whole(start, int(starts[last + step]) + width_ms - 1):
                    last += step
            usable[first : last + 1] = True
            firsts[first : last + 1] = first
        first = last + 1
    return firsts, usable
