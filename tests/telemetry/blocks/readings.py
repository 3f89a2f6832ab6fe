"""What was sent and what came back, in a form that tells apart whatever must not be confused."""

from typing import Any

from hypothesis import strategies as st

from roost.telemetry.frames import Frame
from roost.telemetry.log import Row
from roost.telemetry.messages import Value

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, 2**53, 2**53 + 1, 5e-324]),
    st.integers(-3000, 3000).map(lambda cents: cents / 100),
)


def in_time(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.observed_at, row.id))


def exactly(value: Value) -> tuple[str, str]:
    """What tells values apart that Python calls equal: 1, 1.0 and True; 0.0 and -0.0."""
    return type(value).__name__, repr(value)


def readings(frame: Frame) -> list[tuple[str, int, tuple[str, str], str | None]]:
    found = []
    for key, column in frame.columns.items():
        unit, runs = None, dict(column.units)
        for place, value in enumerate(column.values.tolist()):
            unit = runs.get(place, unit)
            if column.present is None or column.present[place]:
                whole = column.integral is not None and column.integral[place]
                found.append((key, int(frame.times[place]), exactly(int(value) if whole else value), unit))
    return sorted(found, key=lambda reading: (reading[0], reading[1]))


def as_sent(row: Row) -> tuple[Any, ...]:
    document = {key: exactly(value) for key, value in row.readings().items()}
    known = {key: unit for key, unit in row.units_by_key().items() if key in document}
    return row.id, row.observed_at, row.received_at != row.observed_at, document, known
