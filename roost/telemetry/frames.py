"""A stretch of one device's telemetry as columns: what sealed blocks decode to, what queries and exports work on."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roost.telemetry.messages import Value

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Column(NamedTuple):
    """One series within a frame.

    `values` has one place per row of the frame, of type float64, int64 or bool, or object where a series changed its
    kind. `present` says which rows have a value (None: all). `integral` says which values of a float64 column were
    sent as integers (None: none): they are given back as integers. `units` are runs, (first row, unit), by row.
    """

    values: npt.NDArray[Any]
    present: Mask | None = None
    integral: Mask | None = None
    units: tuple[tuple[int, str | None], ...] = ()

    def floats(self) -> npt.NDArray[np.float64]:
        """The present values as numbers to calculate with, not to be changed; booleans as 0 and 1."""
        values = self.values if self.present is None else self.values[self.present]
        return values.astype(np.float64, copy=False)


class Frame(NamedTuple):
    """Rows of one device, `times` ascending (ms since 1970 UTC); rows of one moment in the order of arrival.

    A value that a series has already had at the same moment is absent: copies of messages are gone.
    """

    device_id: int
    times: Times
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What a column held, without decoding it: booleans counted as 0 and 1; `first` and `last` by time."""

    count: int
    min: float
    max: float
    sum: float
    first: float
    last: float
    first_at: int
    last_at: int
    unit: str | None


class Summary(NamedTuple):
    """A stretch of one device's telemetry of which only this is needed; `start` and `end` are included (ms)."""

    device_id: int
    start: int
    end: int
    columns: dict[str, ColumnSummary]


__all__ = ["Column", "ColumnSummary", "Frame", "Mask", "Summary", "Times", "Value"]
