"""Frames and summaries as a store would hand them out, from plain readings."""

from collections.abc import Sequence

import msgspec

from roost.telemetry.columns import frame_of
from roost.telemetry.frames import ColumnSummary, Frame, Summary
from roost.telemetry.log import Row
from roost.telemetry.messages import Value

Sent = tuple[int, dict[str, Value]]  # when, and what


def frame(sent: Sequence[Sent], device_id: int = 1, units: dict[str, str] | None = None) -> Frame:
    """A frame of messages, which come by time."""
    encoded = msgspec.json.encode(units) if units else None
    rows = [
        Row(number, device_id, at, at, None, msgspec.json.encode(values), encoded, None)
        for number, (at, values) in enumerate(sent)
    ]
    return frame_of(device_id, rows)


def summary(made: Frame) -> Summary:
    """What a store that kept the frame as a block knows of it without decoding it."""
    columns = {}
    for key, column in made.columns.items():
        values = column.floats().tolist()
        times = (made.times if column.present is None else made.times[column.present]).tolist()
        unit = next((unit for _, unit in reversed(column.units) if unit is not None), None)
        columns[key] = ColumnSummary(
            len(values), min(values), max(values), sum(values), values[0], values[-1], times[0], times[-1], unit
        )
    return Summary(made.device_id, int(made.times[0]), int(made.times[-1]), columns)
