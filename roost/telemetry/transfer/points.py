"""A frame's columns as one long list of readings, a row each, in the order in which they are written to files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roost.telemetry.frames import Column, Frame

# Readings that are turned into bytes at a time: enough for columns to pay, little beside a small board's memory.
POINTS_AT_ONCE = 65_536
DOUBLE, INTEGER, BOOLEAN = 0, 1, 2

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Points:
    """Readings of one device by time, arrival, and name of the series.

    `keys` and `units` are what `key_codes` and `unit_codes` number. `kinds` says of each value what was sent: DOUBLE,
    INTEGER (the exact value is in `integers`) or BOOLEAN; `values` has it as a number to calculate with.
    """

    device_id: int
    times: npt.NDArray[np.int64]
    keys: Sequence[str]
    key_codes: Codes
    values: npt.NDArray[np.float64]
    integers: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    units: Sequence[str | None]
    unit_codes: Codes

    def __len__(self) -> int:
        return len(self.times)

    def part(self, start: int, end: int) -> "Points":
        """The readings from `start` to before `end`."""
        cut = slice(start, end)
        return replace(
            self,
            times=self.times[cut],
            key_codes=self.key_codes[cut],
            values=self.values[cut],
            integers=self.integers[cut],
            kinds=self.kinds[cut],
            unit_codes=self.unit_codes[cut],
        )


def points_of(frame: Frame, keys: Sequence[str] = ()) -> Iterator[Points]:
    """The readings of these series (none named: of all), at most POINTS_AT_ONCE in a piece."""
    names = sorted(key for key in frame.columns if not keys or key in keys)
    if not names:
        return
    step = max(1, POINTS_AT_ONCE // len(names))
    for start in range(0, len(frame.times), step):
        points = _stretch(frame, names, slice(start, min(start + step, len(frame.times))))
        if len(points):
            yield points


def _stretch(frame: Frame, names: list[str], rows: slice) -> Points:
    units: dict[str | None, int] = {None: 0}
    parts = [_column(frame.columns[name], rows, units) for name in names]
    places = np.concatenate([part.places for part in parts])
    order = np.argsort(places, kind="stable")
    codes = np.repeat(np.arange(len(names), dtype=np.int32), [len(part.places) for part in parts])
    return Points(
        frame.device_id,
        frame.times[rows][places[order]],
        names,
        codes[order],
        np.concatenate([part.values for part in parts])[order],
        np.concatenate([part.integers for part in parts])[order],
        np.concatenate([part.kinds for part in parts])[order],
        list(units),
        np.concatenate([part.units for part in parts])[order],
    )


class _Part(NamedTuple):
    places: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    integers: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    units: Codes


def _column(column: Column, rows: slice, units: dict[str | None, int]) -> _Part:
    values = column.values[rows]
    if column.present is None:
        places = np.arange(len(values), dtype=np.int64)
    else:
        places = np.flatnonzero(column.present[rows]).astype(np.int64)
        values = values[places]
    integral = None if column.integral is None else column.integral[rows][places]
    doubles, integers, kinds = _typed(values, integral)
    return _Part(places, doubles, integers, kinds, _unit_codes(column, places + rows.start, units))


def _typed(
    values: npt.NDArray[np.generic], integral: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The values as numbers, the integers among them exactly, and what each one is."""
    count = len(values)
    if values.dtype == np.object_:
        kinds = np.fromiter(map(_kind, values), np.uint8, count)
        integers = np.fromiter((int(v) if k == INTEGER else 0 for v, k in zip(values, kinds, strict=True)), np.int64)
        return np.fromiter(map(float, values), np.float64, count), integers, kinds
    doubles = values.astype(np.float64)
    if values.dtype == np.bool_:
        return doubles, np.zeros(count, np.int64), np.full(count, BOOLEAN, np.uint8)
    if values.dtype == np.int64:
        return doubles, values.astype(np.int64), np.full(count, INTEGER, np.uint8)
    if integral is None:
        return doubles, np.zeros(count, np.int64), np.full(count, DOUBLE, np.uint8)
    kinds = np.where(integral, INTEGER, DOUBLE).astype(np.uint8)
    return doubles, np.where(integral, doubles, 0).astype(np.int64), kinds


def _kind(value: object) -> int:
    if isinstance(value, bool | np.bool_):
        return BOOLEAN
    return INTEGER if isinstance(value, int | np.integer) else DOUBLE


def _unit_codes(column: Column, places: npt.NDArray[np.int64], units: dict[str | None, int]) -> Codes:
    if not column.units:
        return np.zeros(len(places), np.int32)
    codes = np.array([units.setdefault(unit, len(units)) for _, unit in column.units], np.int32)
    runs = np.searchsorted(np.array([start for start, _ in column.units]), places, side="right") - 1
    # Before the first run no unit is known.
    return np.where(runs < 0, np.int32(0), codes[np.maximum(runs, 0)])
