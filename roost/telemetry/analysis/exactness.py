"""From columns back to readings as they were sent: integers as integers, booleans as booleans."""

from bisect import bisect_right
from collections.abc import Collection

import numpy as np

from roost.telemetry.frames import Column, Frame, Times
from roost.telemetry.messages import Reading, Value


def value_at(column: Column, row: int) -> Value:
    """The present value of a row."""
    value: Value = column.values[row]
    if column.values.dtype == object:
        return value
    exact: Value = column.values[row].item()
    return int(exact) if column.integral is not None and column.integral[row] else exact


def unit_at(column: Column, row: int) -> str | None:
    run = bisect_right(column.units, row, key=lambda entry: entry[0])
    return column.units[run - 1][1] if run else None


def reading_at(key: str, times: Times, column: Column, row: int) -> Reading:
    """The reading of a row in which the series has a value."""
    return Reading(key, value_at(column, row), unit_at(column, row), int(times[row]))


def newest_unit(column: Column) -> str | None:
    """The last unit that came with a value of the series; None if none ever did."""
    return next((unit for _, unit in reversed(column.units) if unit is not None), None)


def newest_first(frame: Frame, first_row: int = 0, keys: Collection[str] = ()) -> list[Reading]:
    """The readings of the rows from `first_row` on: newest first; of one moment by name, then last arrival first."""
    readings: list[tuple[int, str, int]] = []
    for key, column in frame.columns.items():
        if not keys or key in keys:
            rows = np.arange(first_row, len(frame.times))
            if column.present is not None:
                rows = rows[column.present[first_row:]]
            readings += [(-int(frame.times[row]), key, -int(row)) for row in rows]
    readings.sort()
    return [reading_at(key, frame.times, frame.columns[key], -row) for _, key, row in readings]
