"""What goes into a block comes out of it, or nothing does."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.telemetry.blocks.codec import DamagedBlock, decode, decode_frame, encode
from roost.telemetry.blocks.stretch import Stretch, frame_between, joined
from roost.telemetry.blocks.summaries import decode_summary, encode_summary, summarise
from roost.telemetry.columns import frame_of
from roost.telemetry.log import Row, without_resends
from tests.telemetry.blocks.readings import as_sent, in_time, numbers, readings

START = 1_790_000_000_000

documents = st.dictionaries(st.sampled_from(["a", "b.c", "Temperatur °C"]), numbers, min_size=1)
units = st.none() | st.dictionaries(st.sampled_from(["a", "b.c"]), st.sampled_from(["°C", "K"]), min_size=1)


@st.composite
def messages(draw: st.DrawFn) -> list[Row]:
    """Messages of device 7 in the order of arrival, several of them at the same few moments."""
    rows = []
    for number in range(draw(st.integers(1, 25))):
        at = START + draw(st.integers(0, 12)) * 500
        received = at + draw(st.sampled_from([0, 0, 7, 1700, -900, 90_000_000]))
        event = draw(st.sampled_from([None, None, None, "boot"]))
        unit = draw(units)
        rows.append(
            Row(
                number + 1, 7, at, received, event, msgspec.json.encode(draw(documents)),
                None if unit is None else msgspec.json.encode(unit), None,
            )
        )  # fmt: skip
    return rows


@settings(max_examples=50, deadline=None)
@given(messages())
def test_a_block_holds_every_reading_and_every_message_once(rows: list[Row]) -> None:
    stretch = Stretch.of(7, in_time(rows)).without_copies()
    block = decode(7, encode(stretch))
    plain = [row for row in without_resends(rows) if row.event_type is None]
    assert [as_sent(row) for row in block.messages()] == [as_sent(row) for row in in_time(plain)]
    assert readings(block.frame()) == readings(frame_of(7, in_time(rows)))
    given_back = {row.id: row.received_at for row in block.messages()}
    assert all(abs(given_back[row.id] - row.received_at) <= 500 for row in plain)


@settings(max_examples=50, deadline=None)
@given(messages(), st.integers(0, 25), st.integers(0, 25))
def test_stretches_join_to_what_they_were_cut_from(rows: list[Row], first: int, second: int) -> None:
    parts = [rows[: min(first, second)], rows[min(first, second) : max(first, second)], rows[max(first, second) :]]
    whole = joined([Stretch.of(7, in_time(part)) for part in parts])
    expected = Stretch.of(7, in_time(rows)).without_copies()
    assert [as_sent(row) for row in whole.messages()] == [as_sent(row) for row in expected.messages()]
    assert readings(whole.frame()) == readings(expected.frame())


@settings(max_examples=50, deadline=None)
@given(messages(), st.integers(0, 13), st.integers(0, 13))
def test_a_part_of_a_block_and_one_of_its_columns(rows: list[Row], since: int, until: int) -> None:
    span = (START + since * 500, START + until * 500)
    packed = encode(Stretch.of(7, in_time(rows)))
    inside = [row for row in in_time(rows) if span[0] <= row.observed_at < span[1]]
    assert readings(decode(7, packed).between(*span).frame()) == readings(frame_of(7, inside))
    for keys in ([], ["a"], ["nothing"]):
        part = frame_between(decode_frame(7, packed, keys), *span)
        assert readings(part) == readings(frame_of(7, inside, keys))
        assert all(column.present is None or column.present.any() for column in part.columns.values())


@settings(max_examples=50, deadline=None)
@given(messages())
def test_a_summary_says_what_the_readings_say(rows: list[Row]) -> None:
    stretch = Stretch.of(7, in_time(rows))
    summary = summarise(stretch)
    again = decode_summary(7, summary.start, summary.end, encode_summary(summary))
    assert again == summary
    frame = frame_of(7, in_time(rows))
    for key, column in frame.columns.items():
        values = column.floats()
        times = frame.times if column.present is None else frame.times[column.present]
        found = summary.columns[key]
        assert (found.count, found.min, found.max) == (len(values), values.min(), values.max())
        assert (found.first, found.last) == (values[0], values[-1])
        assert (found.first_at, found.last_at) == (times[0], times[-1])
        exact = math.fsum(values / 2)
        assert math.isclose(found.sum / 2, exact, rel_tol=1e-9, abs_tol=1e-9 * float(np.abs(values).max())) or (
            math.isinf(found.sum)
        )


def walk(rows: int) -> list[Row]:
    random = np.random.default_rng(4)
    values = np.round(np.cumsum(random.normal(0, 0.1, rows)), 2).tolist()
    return [
        Row(number, 7, START + number * 10_000, START + number * 10_000 + 30, None, b'{"a":%r}' % value, None, None)
        for number, value in enumerate(values)
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(place: int, flip: int) -> None:
    stretch = Stretch.of(7, walk(300))
    block = bytearray(encode(stretch))
    block[place % len(block)] ^= flip
    with pytest.raises(DamagedBlock):
        decode(7, bytes(block))
    summary = summarise(stretch)
    packed = bytearray(encode_summary(summary))
    packed[place % len(packed)] ^= flip
    with pytest.raises(DamagedBlock):
        decode_summary(7, summary.start, summary.end, bytes(packed))


def test_what_cannot_be_read_says_why() -> None:
    block = encode(Stretch.of(7, walk(3)))
    with pytest.raises(DamagedBlock, match="checksum"):
        decode(8, block)  # another device's
    with pytest.raises(DamagedBlock, match="checksum"):
        decode(7, block[:-1])
    with pytest.raises(DamagedBlock, match="checksum"):
        decode(7, b"")
    with pytest.raises(DamagedBlock, match="format 9"):
        decode(7, b"\x09" + block[1:])


def test_a_value_takes_less_than_a_byte() -> None:
    assert len(encode(Stretch.of(7, walk(4096)))) / 4096 < 1.0
