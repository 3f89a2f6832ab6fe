"""Columns cut, put together and read back, value for value. Pure."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from roost.telemetry.frames import Column, Mask, Times
from roost.telemetry.messages import Value

Units = tuple[tuple[int, str | None], ...]

# Below this every integer is a double of its own.
EXACT_INTEGERS = 2**53


def exact(column: Column) -> list[Value]:
    """The present values as they were sent, in the order of the rows."""
    values = column.values if column.present is None else column.values[column.present]
    found: list[Value] = values.tolist()
    if column.integral is not None:
        integral = column.integral if column.present is None else column.integral[column.present]
        for place in np.flatnonzero(integral).tolist():
            found[place] = int(found[place])
    return found


def take(column: Column, places: npt.NDArray[np.intp]) -> Column:
    """These rows of a column, in this order."""
    present = None if column.present is None else column.present[places]
    if present is not None and present.all():
        present = None
    integral = None if column.integral is None else column.integral[places]
    if integral is not None and not integral.any():
        integral = None
    units: Units = ()
    if column.units:
        codes, labels = _unit_codes(column, len(column.values))
        units = _runs(codes[places], labels, present)
    return Column(column.values[places], present, integral, units)


def part(column: Column, start: int, stop: int) -> Column | None:
    """The rows from `start` to before `stop` of a column, which share its memory; None if they have no value."""
    present = None if column.present is None else column.present[start:stop]
    if start >= stop or (present is not None and not present.any()):
        return None
    if column.units:
        return take(column, np.arange(start, stop))
    integral = None if column.integral is None else column.integral[start:stop]
    return Column(column.values[start:stop], present, integral)


def without_repetitions(column: Column, times: Times) -> Column:
    """The column without values that it has had at the same moment already."""
    places = np.arange(len(times)) if column.present is None else np.flatnonzero(column.present)
    again = repeated(times[places])
    if not again.any():
        return column
    values = exact(column)
    present = np.zeros(len(times), np.bool_)
    present[places] = True
    here: set[Value] = set()
    moment = None
    for number in np.flatnonzero(again).tolist():
        place = places[number]
        if times[place] != moment:
            moment = times[place]
            here = set()
        if values[number] in here:
            present[place] = False
        here.add(values[number])
    return column._replace(present=None if present.all() else present)


def repeated(times: Times) -> Mask:
    """Which of these ascending times are there more than once."""
    same = times[1:] == times[:-1]
    again = np.zeros(len(times), np.bool_)
    again[1:] = same
    again[:-1] |= same
    return again


def concatenated(columns: Sequence[Column | None], lengths: Sequence[int]) -> Column:
    """Columns of a series one after the other; where it is not there (None), so many rows without a value."""
    values, integral = _values(columns, lengths)
    present = None
    if any(column is None or column.present is not None for column in columns):
        present = np.concatenate([_presence(column, rows) for column, rows in zip(columns, lengths, strict=True)])
    units: Units = ()
    if any(column is not None and column.units for column in columns):
        units = _joined_units(columns, lengths, present)
    return Column(values, present, integral, units)


def units_by_place(column: Column) -> Iterator[tuple[int, str]]:
    """Row and unit of every present value that has one."""
    if not column.units:
        return
    codes, labels = _unit_codes(column, len(column.values))
    if column.present is not None:
        codes = np.where(column.present, codes, 0)
    for place in np.flatnonzero(codes).tolist():
        unit = labels[codes[place]]
        if unit is not None:
            yield place, unit


def _values(columns: Sequence[Column | None], lengths: Sequence[int]) -> tuple[npt.NDArray[np.generic], Mask | None]:
    there = [column for column in columns if column is not None]
    kinds = {column.values.dtype.kind for column in there}
    if kinds == {"f", "i"} and all(
        column.values.dtype.kind == "f" or (np.abs(column.floats()) < EXACT_INTEGERS).all() for column in there
    ):
        kinds = {"f"}
    if len(kinds) > 1 or kinds == {"O"}:
        return _mixed(columns, lengths), None
    dtype = {"f": np.dtype(np.float64), "i": np.dtype(np.int64), "b": np.dtype(np.bool_)}[kinds.pop()]
    values = np.concatenate(
        [
            np.zeros(rows, dtype) if column is None else column.values.astype(dtype)
            for column, rows in zip(columns, lengths, strict=True)
        ]
    )
    integral = np.concatenate(
        [_integrality(column, rows, dtype) for column, rows in zip(columns, lengths, strict=True)]
    )
    return values, integral if integral.any() else None


def _mixed(columns: Sequence[Column | None], lengths: Sequence[int]) -> npt.NDArray[np.object_]:
    mixed = np.zeros(sum(lengths), object)
    present = np.concatenate([_presence(column, rows) for column, rows in zip(columns, lengths, strict=True)])
    whole = np.empty(int(present.sum()), object)
    whole[:] = list(chain.from_iterable(exact(column) for column in columns if column is not None))
    mixed[present] = whole
    return mixed


def _presence(column: Column | None, rows: int) -> Mask:
    if column is None:
        return np.zeros(rows, np.bool_)
    return np.ones(rows, np.bool_) if column.present is None else column.present


def _integrality(column: Column | None, rows: int, dtype: np.dtype[np.generic]) -> Mask:
    """Which values of a column that becomes part of one of doubles were integers."""
    if column is None or dtype.kind != "f":
        return np.zeros(rows, np.bool_)
    if column.values.dtype.kind == "i":
        return _presence(column, rows)
    return np.zeros(rows, np.bool_) if column.integral is None else column.integral


def _unit_codes(column: Column, rows: int) -> tuple[npt.NDArray[np.intp], list[str | None]]:
    """For each row the number of its unit, and the units by number; the first one is None."""
    labels: list[str | None] = [None]
    codes = np.zeros(rows, np.intp)
    for start, unit in column.units:
        if unit not in labels:
            labels.append(unit)
        codes[start:] = labels.index(unit)
    return codes, labels


def _runs(codes: npt.NDArray[np.intp], labels: Sequence[str | None], present: Mask | None) -> Units:
    places = np.arange(len(codes)) if present is None else np.flatnonzero(present)
    seen = codes[places]
    changes = np.flatnonzero(np.diff(seen, prepend=0))
    return tuple((int(places[change]), labels[seen[change]]) for change in changes)


def _joined_units(columns: Sequence[Column | None], lengths: Sequence[int], present: Mask | None) -> Units:
    runs: list[tuple[int, str | None]] = []
    start = 0
    for column, rows in zip(columns, lengths, strict=True):
        if column is not None:
            runs.append((start, None))
            runs += [(start + place, unit) for place, unit in column.units]
        start += rows
    whole = Column(np.zeros(start), present, None, tuple(runs))
    return _runs(*_unit_codes(whole, start), present)
