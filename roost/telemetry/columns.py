"""From messages to columns and back, exactly: integers stay integers, booleans booleans, doubles every bit."""

import operator
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from roost.telemetry.frames import Column, Frame, Mask
from roost.telemetry.log import Row
from roost.telemetry.messages import Value

Units = list[tuple[int, str | None]]

_decode_all = msgspec.json.Decoder(list[dict[str, Any]]).decode


class ColumnBuilder:
    """One series while its values come in, row by row."""

    __slots__ = ("_places", "_units", "_values")

    def __init__(self) -> None:
        self._places: list[int] = []
        self._values: list[Value] = []
        self._units: Units = []

    def add(self, place: int, value: Value, unit: str | None) -> None:
        """The value of row `place`; rows ascend."""
        self._places.append(place)
        self._values.append(value)
        if (self._units[-1][1] if self._units else None) != unit:
            self._units.append((place, unit))

    def add_all(self, values: list[Value | None], units: list[str | None] | None) -> None:
        """The values of all rows, None where there is none, into an empty column; `units` None: no row has one."""
        if None in values:
            self._places = [place for place, value in enumerate(values) if value is not None]
            self._values = [value for value in values if value is not None]
        else:
            self._places = list(range(len(values)))
            self._values = cast("list[Value]", values)
        if units is not None:
            known = None
            for place in self._places:
                if units[place] != known:
                    known = units[place]
                    self._units.append((place, known))

    def build(self, rows: int) -> Column:
        values, integral = typed(self._values)
        if len(self._places) == rows:
            return Column(values, None, integral, tuple(self._units))
        present = np.zeros(rows, np.bool_)
        present[self._places] = True
        spread = np.zeros(rows, values.dtype)
        spread[present] = values
        if integral is not None:
            present_integral, integral = integral, np.zeros(rows, np.bool_)
            integral[present] = present_integral
        return Column(spread, present, integral, tuple(self._units))


def typed(values: list[Value]) -> tuple[npt.NDArray[Any], Mask | None]:
    """Values in the narrowest array that gives them back exactly, and which of them are integers among floats."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values, np.float64), None
    if kinds == {int}:
        return np.array(values, np.int64), None
    if kinds == {bool}:
        return np.array(values, np.bool_), None
    if kinds == {int, float} and all(int(float(value)) == value for value in values if type(value) is int):
        return np.array(values, np.float64), np.array([type(value) is int for value in values], np.bool_)
    mixed = np.empty(len(values), object)
    mixed[:] = values
    return mixed, None


def frame_of(device_id: int, rows: Iterable[Row], keys: Sequence[str] = ()) -> Frame:
    """The readings of one device's messages, which come by time and, within a moment, by arrival.

    Of the same value of a series at the same moment the first one counts. Messages without any of `keys` (empty: any
    reading at all) take no row.
    """
    every = list(rows)
    times = [row.observed_at for row in every]
    # Where no two messages are of one moment nothing can repeat itself: five times as fast, and the usual case.
    if all(map(operator.lt, times, times[1:])):
        return _frame_of_moments(device_id, every, keys)
    return _frame_without_repetitions(device_id, every, keys)


def _frame_of_moments(device_id: int, rows: list[Row], keys: Sequence[str]) -> Frame:
    documents = _all_readings(rows)
    names = [key for key in dict.fromkeys(chain.from_iterable(documents)) if not keys or key in keys]
    found = {key: [document.get(key) for document in documents] for key in names}
    if all(None in values for values in found.values()):
        kept = [
            place
            for place, values in enumerate(zip(*found.values(), strict=True))
            if any(value is not None for value in values)
        ]
        rows = [rows[place] for place in kept]
        found = {key: [values[place] for place in kept] for key, values in found.items()}
    units = [row.units_by_key() for row in rows] if any(row.units for row in rows) else None
    columns = {}
    for key, values in found.items():
        builder = ColumnBuilder()
        builder.add_all(values, None if units is None else [unit.get(key) for unit in units])
        columns[key] = builder.build(len(rows))
    return Frame(device_id, np.array([row.observed_at for row in rows], np.int64), columns)


def _all_readings(rows: list[Row]) -> list[dict[str, Value]]:
    if any(row.event_type is not None for row in rows):
        return [row.readings() for row in rows]
    return _decode_all(b"[%b]" % b",".join([row.payload for row in rows]))


def _frame_without_repetitions(device_id: int, rows: list[Row], keys: Sequence[str]) -> Frame:
    times: list[int] = []
    builders: dict[str, ColumnBuilder] = {}
    here: set[tuple[str, Value]] = set()
    moment = -1
    for row in rows:
        if row.observed_at != moment:
            moment = row.observed_at
            here.clear()
        units = row.units_by_key()
        place = len(times)
        for key, value in row.readings().items():
            if (keys and key not in keys) or (key, value) in here:
                continue
            here.add((key, value))
            if place == len(times):
                times.append(moment)
            builder = builders.get(key)
            if builder is None:
                builder = builders[key] = ColumnBuilder()
            builder.add(place, value, units.get(key))
    columns = {key: builder.build(len(times)) for key, builder in builders.items()}
    return Frame(device_id, np.array(times, np.int64), columns)
