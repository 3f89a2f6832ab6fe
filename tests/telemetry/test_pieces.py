"""What is read for queries and exports, from each database."""

import math
from collections.abc import Iterable

import msgspec
import pytest

from roost.telemetry.blocks import pieces, reads
from roost.telemetry.frames import Frame
from roost.telemetry.log import Log
from roost.telemetry.messages import Message, Value
from roost.telemetry.postgres import reads as postgres_reads
from tests.telemetry.conftest import NOW


def message(
    at: int, values: dict[str, Value], units: dict[str, str] | None = None, event: str | None = None
) -> Message:
    return Message(at, NOW, event, values, msgspec.json.encode(values), units)


async def frames(log: Log, since: int = 0, until: int = 2**62, keys: Iterable[str] = ()) -> list[Frame]:
    return [piece async for piece in log.pieces(1, since, until, keys=tuple(keys)) if isinstance(piece, Frame)]


async def readings(
    log: Log, since: int = 0, until: int = 2**62, keys: Iterable[str] = ()
) -> list[tuple[str, int, Value]]:
    return [
        (key, int(frame.times[row]), value)
        for frame in await frames(log, since, until, keys)
        for key, column in frame.columns.items()
        for row, value in enumerate(column.values.tolist())
        if column.present is None or column.present[row]
    ]


async def test_many_devices_are_read_at_once_in_the_order_in_which_they_were_asked_for(log: Log) -> None:
    await log.append([1, 2, 3, 3], [message(NOW + number, {"a": number}) for number in range(4)])
    asked = [3, 7, 1, 5, 2]
    ((first, second, third),) = [batch async for batch in log.batches(asked, 0, 2**62)]
    assert [(piece.device_id, len(piece.columns)) for piece in (first, second, third)] == [(3, 1), (1, 1), (2, 1)]
    assert [batch async for batch in log.batches([], 0, 2**62)] == []


async def test_columns_share_their_times_and_know_what_is_absent(log: Log) -> None:
    await log.append(
        [1, 2, 1, 1],
        [
            message(NOW, {"a": 1.5}),
            message(NOW, {"a": 9.5}),
            message(NOW - 5, {"a": 2.5, "b": True}),
            message(NOW, {"c": 7}),
        ],
    )
    (frame,) = await frames(log)
    assert frame.device_id == 1
    assert frame.times.tolist() == [NOW - 5, NOW, NOW]
    assert {key: str(column.values.dtype) for key, column in frame.columns.items()} == {
        "a": "float64", "b": "bool", "c": "int64"
    }  # fmt: skip
    assert await readings(log) == [("a", NOW - 5, 2.5), ("a", NOW, 1.5), ("b", NOW - 5, True), ("c", NOW, 7)]
    assert await readings(log, NOW - 5, NOW, ["b"]) == [("b", NOW - 5, True)]


async def test_a_value_at_a_moment_counts_once_and_others_stay_in_the_order_of_arrival(log: Log) -> None:
    sent: list[dict[str, Value]] = [{"a": 2.0}, {"a": 1.0}, {"a": 2.0, "b": 1.0}, {"a": 2}, {"a": 1.0}]
    await log.append([1] * 5, [message(NOW, values) for values in sent])
    assert await readings(log) == [("a", NOW, 2.0), ("a", NOW, 1.0), ("b", NOW, 1.0)]


async def test_every_kind_of_value_comes_back_as_it_was(log: Log) -> None:
    values: list[Value] = [-0.0, 1, 2**53, 5e-324, 2**62 + 1, True]
    for number, value in enumerate(values):
        await log.append([1], [message(NOW + number, {"mixed": value, **({"n": value} if number < 4 else {})})])
    (frame,) = await frames(log)
    assert [(type(value), value) for value in frame.columns["mixed"].values] == [(type(v), v) for v in values]
    numbers = frame.columns["n"]
    assert numbers.integral is not None
    assert numbers.integral.tolist() == [False, True, True, False, False, False]
    assert math.copysign(1, numbers.values[0]) == -1
    assert numbers.floats().tolist() == values[:4]


async def test_units_are_runs(log: Log) -> None:
    units = [None, {"a": "°C"}, {"a": "°C"}, {"a": "K"}, None]
    for number, unit in enumerate(units):
        await log.append([1], [message(NOW + number, {"a": number}, unit)])
    (frame,) = await frames(log)
    assert frame.columns["a"].units == ((1, "°C"), (3, "K"), (4, None))


async def test_an_event_is_there_with_its_readings_and_without_them_not(log: Log) -> None:
    await log.append(
        [1, 1], [Message(NOW, NOW, "boot", {"v": 1}, b'{"v":1,"why":"power"}'), message(NOW + 1, {}, None, "x")]
    )
    assert await readings(log) == [("v", NOW, 1)]


async def test_frames_are_cut_between_moments_however_many_rows_one_has(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pieces, reads, postgres_reads):
        monkeypatch.setattr(module, "FRAME_ROWS", 3)
    moments = [0, 0, 1, 1, 1, 1, 1, 2, 3, 4]
    await log.append([1] * len(moments), [message(NOW + at, {"a": number}) for number, at in enumerate(moments)])
    found = await frames(log)
    assert [frame.times.tolist() for frame in found] == [
        [NOW, NOW], [NOW + 1] * 5, [NOW + 2, NOW + 3], [NOW + 4]
    ]  # fmt: skip
    assert [value for _, _, value in await readings(log)] == list(range(10))
