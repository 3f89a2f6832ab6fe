"""Readings as files: exact, in order, and safe to open. Without a server."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.columns import frame_of
from roost.telemetry.frames import Column, Frame
from roost.telemetry.log import Row
from roost.telemetry.messages import Value
from roost.telemetry.transfer import points as pieces
from roost.telemetry.transfer.cells import plain_text, safe_cell
from roost.telemetry.transfer.formats import ENCODERS
from roost.telemetry.transfer.points import points_of
from roost.telemetry.transfer.wanted import Format, Position

NOW = 1_790_000_000_000
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet", "arrow")

Reading = tuple[str, str, Value, str | None]


def encoded(kind: Format, frames: list[Frame], uid: str = "dev-1", keys: tuple[str, ...] = ()) -> bytes:
    encoder = ENCODERS[kind]()
    parts = [encoder.start()]
    parts += [encoder.add(uid, points) for frame in frames for points in points_of(frame, keys)]
    return b"".join([*parts, encoder.finish()])


def decoded(kind: Format, data: bytes) -> list[Reading]:
    """A file as somebody else's program reads it."""
    if kind == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        for row in rows:
            row["value"] = json.loads(row["value"])
            row["unit"] = plain_text(row["unit"]) or None
            row["sensor_type"] = plain_text(row["sensor_type"])
    elif kind == "jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
    else:
        table = pq.read_table(io.BytesIO(data)) if kind == "parquet" else pa.ipc.open_stream(data).read_all()
        rows = table.to_pylist()
        for row in rows:
            number, whole, truth = row["value"], row["integer"], row["boolean"]
            row["time"] = rfc3339_from_ms(round(row["time"].timestamp() * 1000))
            row["value"] = truth if truth is not None else whole if whole is not None else number
    return [(row["sensor_type"], row["time"], row["value"], row["unit"]) for row in rows]


def as_sent(readings: Sequence[Reading]) -> list[tuple[str, str, str, str | None]]:
    """`repr` tells 1 from 1.0 and True, and 0.0 from -0.0."""
    return [(key, at, repr(value), unit) for key, at, value, unit in readings]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_value_comes_out_as_it_was_sent(kind: Format) -> None:
    values: list[Value] = [
        21.5, 21.0, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1e22, 123456789012.0, 2**53 + 1, -(2**63),
        2**63 - 1, 0, True, False,
    ]  # fmt: skip
    rows = [
        Row(n, 1, NOW + n, NOW, None, json.dumps({"v": value}).encode(), b'{"v":"\xc2\xb0C"}' if n % 2 else None, None)
        for n, value in enumerate(values)
    ]
    got = decoded(kind, encoded(kind, [frame_of(1, rows, ())]))
    assert [repr(value) for _, _, value, _ in got] == [repr(value) for value in values]
    assert [at for _, at, _, _ in got] == [rfc3339_from_ms(NOW + n) for n in range(len(values))]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "=cmd()", 'quo"te,']),
            st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
            min_size=1,
        ),
        max_size=8,
    ),
    st.sampled_from(FORMATS),
    st.integers(1, 12),
)
def test_whatever_comes_in_goes_out_in_order(messages: list[dict[str, Value]], kind: Format, at_once: int) -> None:
    rows = [Row(n, 1, NOW + n, NOW, None, json.dumps(sent).encode(), None, None) for n, sent in enumerate(messages)]
    expected: list[Reading] = [
        (key, rfc3339_from_ms(NOW + n), value, None)
        for n, sent in enumerate(messages)
        for key, value in sorted(sent.items())
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "POINTS_AT_ONCE", at_once)
        got = decoded(kind, encoded(kind, [frame_of(1, rows, ())] if rows else []))
    assert as_sent(got) == as_sent(expected)


def test_units_come_with_the_rows_for_which_they_were_known() -> None:
    column = Column(np.arange(5, dtype=np.int64), units=((1, "m"), (3, None), (4, "km")))
    frame = Frame(1, NOW + np.arange(5, dtype=np.int64), {"distance": column})
    assert [unit for *_, unit in decoded("csv", encoded("csv", [frame]))] == [None, "m", "m", None, "km"]


def test_only_the_series_that_were_asked_for() -> None:
    values = np.arange(3, dtype=np.float64)
    present = np.array([True, False, True])
    frame = Frame(1, NOW + np.arange(3, dtype=np.int64), {"a": Column(values, present), "b": Column(values)})
    assert [(key, value) for key, _, value, _ in decoded("jsonl", encoded("jsonl", [frame], keys=("a",)))] == [
        ("a", 0.0), ("a", 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "\ta", "'=a", "'a", "''", "a", "", 'x"y,z', "-"])
def test_no_cell_is_a_formula_and_each_is_read_back(text: str) -> None:
    ((cell,),) = list(csv.reader([safe_cell(text)])) or [[""]]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert plain_text(cell) == text


def test_a_parquet_file_does_not_grow_in_memory() -> None:
    """What is held back is a row group, not the file."""
    rng = np.random.default_rng(7)
    encoder = ENCODERS["parquet"]()
    sizes = [len(encoder.start())]
    for part in range(8):
        times = NOW + part * 10**9 + np.arange(65_536, dtype=np.int64)
        frame = Frame(1, times, {"v": Column(rng.normal(size=65_536))})
        sizes += [len(encoder.add("dev-1", points)) for points in points_of(frame)]
    assert sum(size > 1_000_000 for size in sizes) == 2
    assert len(encoder.finish()) < 10_000


@pytest.mark.parametrize("text", ["", "7", "7,now,1", "0,2026-01-01T00:00:00Z,1", "7,2026-01-01T00:00:00Z,0", "a,b,c"])
def test_a_position_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Position.parse(text)


def test_a_position_as_text_and_back() -> None:
    position = Position(7, NOW, 3)
    assert Position.parse(str(position)) == position
