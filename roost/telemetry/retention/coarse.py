"""What stays of readings that go: how many each series had in a bucket of time, from where to where, and their sum.

Buckets begin at multiples of their width since 1970. They are stored a period of about a thousand at a time, in the
codec of sealed blocks: a row for each bucket, and for each series a column for each thing that is known. Pure.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.analysis.partials import Floats, Partials, put_together
from roost.telemetry.blocks import arrays, codec
from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Column, ColumnSummary, Mask, Times
from roost.telemetry.log import CoarseRow, LogUnavailable
from roost.telemetry.retention.rules import DAY_MS, Cutoffs
from roost.telemetry.retention.trimming import held_rows

BUCKETS_A_PERIOD = 1_000
# Of the columns of a series, and of `Partials` at the same place.
_STATS = ("count", "sum", "min", "max", "first", "last", "first_at", "last_at")
_SEPARATOR = "\0"


class Coarse(NamedTuple):
    """Buckets of one width of one device; `units` has the newest unit of each series that has one."""

    width_ms: int
    series: dict[str, Partials]
    units: dict[str, str]

    @property
    def is_empty(self) -> bool:
        return not self.series


def period_of(width_ms: int, moment: int) -> tuple[int, int]:
    """Start and end (not included; ms) of the period that a moment lies in: whole days, whatever the width."""
    length = max(1, width_ms * BUCKETS_A_PERIOD // DAY_MS) * DAY_MS
    start = moment - moment % length
    return start, start + length


def partials_of(width_ms: int, times: Times, values: Floats) -> Partials:
    """Buckets of readings at these ascending times."""
    starts = times - times % width_ms
    begins = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
    ends = np.append(begins[1:], len(times)) - 1
    # A sum that is more than a double holds becomes infinite, as in every other aggregate.
    with np.errstate(over="ignore"):
        totals = np.add.reduceat(values, begins)
    none, one = np.zeros(len(begins)), np.ones(len(begins), np.int64)
    return Partials(
        starts[begins], ends - begins + 1, totals,
        np.minimum.reduceat(values, begins), np.maximum.reduceat(values, begins),
        values[begins], values[ends], times[begins], times[ends], none, one, one, one,
    )  # fmt: skip


def fold(stretch: Stretch, cutoffs: Cutoffs) -> list[Coarse]:
    """The buckets of those of its readings that are too old, as far as their rules want any, one for each width."""
    found: dict[int, Coarse] = {}
    for key, column in stretch.columns.items():
        single = arrays.without_repetitions(column, stretch.times)
        for width_ms, goes in _going(stretch, cutoffs, key):
            places = np.flatnonzero(goes if single.present is None else goes & single.present)
            if len(places):
                going = arrays.take(single, places)
                coarse = found.setdefault(width_ms, Coarse(width_ms, {}, {}))
                here = partials_of(width_ms, stretch.times[places], going.floats())
                there = coarse.series.get(key)
                coarse.series[key] = here if there is None else put_together([there, here])
                unit = next((unit for _, unit in reversed(going.units) if unit is not None), None)
                if unit is not None:
                    coarse.units[key] = unit
    return list(found.values())


def _going(stretch: Stretch, cutoffs: Cutoffs, key: str) -> list[tuple[int, Mask]]:
    """Width, and which rows of a series go into buckets of it.

    Readings of events go by the rule for events; but their buckets, which stand with the others, by that of the series.
    """
    found = []
    held = held_rows(stretch, cutoffs)
    plain = np.ones(stretch.rows, np.bool_) if stretch.events is None else ~stretch.events
    for rows, cutoff, gone, width_ms in (
        (plain, cutoffs.of(key), cutoffs.outright.of(key), cutoffs.bucket_of(key)),
        (~plain, cutoffs.whole, max(cutoffs.outright.whole, cutoffs.outright.of(key)), cutoffs.whole_bucket),
    ):
        if width_ms is not None:
            found.append((width_ms, rows & ~held & (stretch.times < cutoff) & (stretch.times >= gone)))
    return found


def by_period(coarse: Coarse) -> dict[tuple[int, int], Coarse]:
    """The same, a part for each period (start, end)."""
    parts: dict[tuple[int, int], Coarse] = {}
    starts = np.unique(np.concatenate([partials.starts for partials in coarse.series.values()]))
    for period in sorted({period_of(coarse.width_ms, int(start)) for start in starts}):
        parts[period] = between(coarse, *period)
    return parts


def between(coarse: Coarse, since: int, until: int) -> Coarse:
    """The buckets that begin from `since` to before `until` (ms)."""
    return _chosen(coarse, {key: (p.starts >= since) & (p.starts < until) for key, p in coarse.series.items()})


def without_old(coarse: Coarse, cutoffs: Cutoffs) -> Coarse:
    """Without buckets that have ended before nothing of their series is kept; the very same if these are none."""
    kept = {key: p.starts + coarse.width_ms > cutoffs.outright.of(key) for key, p in coarse.series.items()}
    return coarse if all(bool(mask.all()) for mask in kept.values()) else _chosen(coarse, kept)


def after(coarse: Coarse, moment: int) -> Coarse:
    """The buckets that do not end before this moment (ms)."""
    return _chosen(coarse, {key: p.starts + coarse.width_ms > moment for key, p in coarse.series.items()})


def decoded(device_id: int, row: CoarseRow) -> Coarse:
    """A row as it is stored. Raises DamagedBlock."""
    return decode(device_id, row.width_ms, row.data)


def encoded(device_id: int, row: CoarseRow, coarse: Coarse) -> CoarseRow | None:
    """The row with these buckets in place of its own; None without any."""
    return None if coarse.is_empty else row._replace(data=encode(device_id, coarse))


@contextmanager
def naming_damage(device_id: int, start: int) -> Iterator[None]:
    """Raises LogUnavailable, naming device and time, for buckets that are damaged."""
    try:
        yield
    except DamagedBlock as error:
        moment = rfc3339_from_ms(start)
        raise LogUnavailable(f"The buckets of device {device_id} from {moment} cannot be read: {error}") from error


def damage_of(device_id: int, row: CoarseRow) -> str | None:
    """What is wrong with a row as it is stored, as a sentence that names it; None if nothing is."""
    try:
        starts = [partials.starts for partials in decoded(device_id, row).series.values()]
        outside = any((found < row.start).any() or (found >= row.end).any() for found in starts)
        problem = "They say something else than their place in the table." if outside else None
    except DamagedBlock as error:
        problem = str(error)
    except (ValueError, TypeError, KeyError) as error:
        problem = f"They cannot be read: {error}."
    span = f"{rfc3339_from_ms(row.start)} to {rfc3339_from_ms(row.end)}"
    return problem and f"Buckets of {row.width_ms // 1000} s of device {device_id}, {span}: {problem}"


def _chosen(coarse: Coarse, kept: Mapping[str, Mask]) -> Coarse:
    series = {key: part(coarse.series[key], mask) for key, mask in kept.items() if mask.any()}
    return coarse._replace(series=series, units={key: unit for key, unit in coarse.units.items() if key in series})


def part(partials: Partials, places: Mask | npt.NDArray[np.intp]) -> Partials:
    """Some of the buckets."""
    return Partials._make(column[places] for column in partials)


def united(parts: Sequence[Coarse]) -> Coarse:
    """Parts of one width as one; of each bucket the readings of all of them. Of two units the last one stays."""
    series: dict[str, list[Partials]] = {}
    units: dict[str, str] = {}
    for one in parts:
        units |= one.units
        for key, partials in one.series.items():
            series.setdefault(key, []).append(partials)
    return Coarse(parts[0].width_ms, {key: put_together(found) for key, found in series.items()}, units)


def summaries(partials: Partials, unit: str | None) -> list[ColumnSummary]:
    """Each bucket as what it holds."""
    return [
        ColumnSummary(row[1], row[3], row[4], row[2], row[5], row[6], row[7], row[8], unit) for row in partials.rows()
    ]


def encode(device_id: int, coarse: Coarse) -> bytes:
    """At least one bucket as bytes, with a checksum."""
    starts = np.unique(np.concatenate([partials.starts for partials in coarse.series.values()]))
    columns = {}
    for key, partials in coarse.series.items():
        places = np.searchsorted(starts, partials.starts)
        present = None
        if len(places) < len(starts):
            present = np.zeros(len(starts), np.bool_)
            present[places] = True
        unit = coarse.units.get(key)
        for name, values in zip(_STATS, partials[1 : len(_STATS) + 1], strict=True):
            stored = values - partials.starts if name.endswith("_at") else values
            spread = np.zeros(len(starts), stored.dtype)
            spread[places] = stored
            units = ((int(places[0]), unit),) if unit is not None and name == "last" else ()
            columns[key + _SEPARATOR + name] = Column(spread, present, None, units)
    ids = np.zeros(len(starts), np.int64)
    return codec.encode(Stretch(device_id, starts, ids, starts, None, columns))


def decode(device_id: int, width_ms: int, data: bytes, keys: Collection[str] = ()) -> Coarse:
    """The buckets of these series (empty: all). Raises DamagedBlock."""
    names = [key + _SEPARATOR + name for key in keys for name in _STATS]
    stretch = codec.decode(device_id, data, names)
    series, units = {}, {}
    for key in dict.fromkeys(name.rpartition(_SEPARATOR)[0] for name in stretch.columns):
        columns = [stretch.columns[key + _SEPARATOR + name] for name in _STATS]
        present = columns[0].present
        starts = stretch.times if present is None else stretch.times[present]
        values = [column.values if present is None else column.values[present] for column in columns]
        one = np.ones(len(starts), np.int64)
        times = [values[6] + starts, values[7] + starts]
        series[key] = Partials._make([starts, *values[:6], *times, np.zeros(len(starts)), one, one, one])
        unit = next((unit for _, unit in columns[5].units), None)
        if unit is not None:
            units[key] = unit
    return Coarse(width_ms, series, units)
