"""Both ways from messages to columns lead to the same ones."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.telemetry import columns
from roost.telemetry.frames import Frame
from roost.telemetry.log import Row

values = st.one_of(
    st.integers(-(2**60), 2**60), st.integers(-9, 9), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
readings = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)
units = st.one_of(st.none(), st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["V", "A"])))
messages = st.lists(st.tuples(readings, units, st.sampled_from([None, None, None, "boot"])), max_size=12)


def plainly(frame: Frame) -> Any:
    """All of it, with the kind of every value."""
    return (
        frame.times.tolist(),
        {
            key: (
                [repr(value) for value in column.values.tolist()],
                None if column.present is None else column.present.tolist(),
                None if column.integral is None else column.integral.tolist(),
                column.units,
                column.values.dtype,
            )
            for key, column in frame.columns.items()
        },
    )


@given(sent=messages, keys=st.lists(st.sampled_from(["a", "b"]), max_size=2))
@settings(max_examples=80, deadline=None)
def test_messages_of_different_moments_become_the_same_columns_the_quick_way(sent: list[Any], keys: list[str]) -> None:
    rows = [
        Row(
            place,
            7,
            1_000 + place,
            9_000,
            event,
            msgspec.json.encode(found),
            msgspec.json.encode(unit) if unit else None,
            None,
        )
        for place, (found, unit, event) in enumerate(sent)
    ]
    quick = columns._frame_of_moments(7, rows, keys)
    careful = columns._frame_without_repetitions(7, rows, keys)
    assert plainly(quick) == plainly(careful)
    assert list(quick.columns) == list(careful.columns)
