"""Pages of readings and the latest values, from frames and from summaries."""

from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from typing import cast

import pytest

from roost.telemetry.analysis.looking_back import latest_readings, newest_readings, windows
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import Log
from roost.telemetry.messages import Reading
from roost.telemetry.spans import Span
from tests.telemetry.analysis.frames_by_hand import Sent, frame, summary

NOW = 1_790_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


class Blocks:
    """Some messages, as a store with blocks of `size` messages hands them out, and what was asked of it."""

    def __init__(self, sent: Sequence[Sent], size: int) -> None:
        self._blocks = [sent[begin : begin + size] for begin in range(0, len(sent), size)]
        self.decoded = 0

    async def batches(
        self, device_ids: Sequence[int], since: int, until: int, *, keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> AsyncGenerator[list[Frame | Summary], None]:  # fmt: skip
        (device_id,) = device_ids
        for block in self._blocks:
            inside = [
                (at, values) for at, values in block if since <= at < until and (not keys or values.keys() & set(keys))
            ]
            if not inside:
                continue
            if whole is not None and len(inside) == len(block) and whole(inside[0][0], inside[-1][0]):
                yield [summary(frame(inside, device_id))]
            else:
                self.decoded += len(inside)
                yield [frame(inside, device_id)]


def log_of(blocks: Blocks) -> Log:
    return cast("Log", blocks)


@pytest.mark.parametrize(
    "span", [Span(), Span(NOW - 400 * DAY), Span(NOW - DAY, NOW - HOUR), Span(5, 5), Span(NOW + DAY)]
)
def test_windows_make_up_the_span(span: Span) -> None:
    found = windows(span, NOW)
    assert found[0].until == span.until
    assert found[-1].since == span.since
    assert all(later.since == earlier.until for later, earlier in pairwise(found))
    assert len(found) < 15


async def newest(blocks: Blocks, limit: int, keys: Sequence[str] = (), span: Span = Span()) -> list[Reading]:  # noqa: B008
    return await newest_readings(log_of(blocks), 1, span, limit, keys=keys, now_ms=NOW)


@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_the_newest_readings_across_blocks_and_windows(size: int) -> None:
    sent: list[Sent] = [(NOW - n * HOUR, {"a": n, "b": n % 2 == 0}) for n in range(60, -1, -1)]
    every = [Reading(key, values[key], None, at) for at, values in reversed(sent) for key in ("a", "b")]
    for limit in (1, 2, 9, 121, 122, 500):
        assert await newest(Blocks(sent, size), limit) == every[:limit]
    only_a = [reading for reading in every if reading.sensor_type == "a"]
    assert await newest(Blocks(sent, size), 10, ["a"]) == only_a[:10]
    assert await newest(Blocks(sent, size), 3, ["a"], Span(0, NOW - 50 * HOUR)) == only_a[51:54]


async def test_what_is_ahead_of_our_clock_and_what_is_long_ago_is_found() -> None:
    blocks = Blocks([(NOW - 9_000 * DAY, {"old": 1}), (NOW + DAY, {"new": 2.5})], 1)
    assert [reading.value for reading in await newest(blocks, 10)] == [2.5, 1]
    assert await newest(blocks, 10, ["never"]) == []


async def test_a_page_of_much_history_reads_little_of_it() -> None:
    blocks = Blocks([(NOW - n * 10_000, {"a": n}) for n in range(30_000, 0, -1)], 1_000)
    assert [reading.value for reading in await newest(blocks, 100)] == list(range(1, 101))
    assert blocks.decoded <= 1_000


async def test_a_series_that_has_long_been_silent_is_found_without_decoding_what_lies_between() -> None:
    sent: list[Sent] = [(NOW - 500 * DAY + n, {"old": n}) for n in range(30)]
    sent += [(NOW - n * HOUR, {"a": n}) for n in range(9_990, 0, -1)]
    blocks = Blocks(sent, 10)
    assert [reading.value for reading in await newest(blocks, 12, ["old"])] == list(range(29, 17, -1))
    assert blocks.decoded <= 30


async def test_several_values_of_a_moment_come_last_arrival_first() -> None:
    blocks = Blocks([(NOW, {"b": 1, "a": 1}), (NOW, {"b": 3}), (NOW, {"b": 2})], 10)
    found = [(reading.sensor_type, reading.value) for reading in await newest(blocks, 10)]
    assert found == [("a", 1), ("b", 2), ("b", 3), ("b", 1)]


async def test_the_latest_of_every_series_is_exact_though_summaries_are_not() -> None:
    sent: list[Sent] = [(NOW - 900 * DAY, {"switch": True, "rare": 2**53 + 1})]
    sent += [(NOW - n * HOUR, {"a": n, "switch": False}) for n in range(50, 10, -1)]
    sent += [(NOW - n * HOUR, {"a": n + 0.5}) for n in range(10, 0, -1)]
    blocks = Blocks(sent, 5)
    found = {
        reading.sensor_type: (reading.value, reading.timestamp) for reading in await latest_readings(log_of(blocks), 1)
    }
    assert found == {
        "a": (1.5, NOW - HOUR),
        "rare": (2**53 + 1, NOW - 900 * DAY),
        "switch": (False, NOW - 11 * HOUR),
    }
    assert found["switch"][0] is False
    assert blocks.decoded <= 5


async def test_the_newest_unit_outlives_readings_without_one() -> None:
    class Units(Blocks):
        async def batches(
            self, device_ids: Sequence[int], since: int, until: int, **_: object
        ) -> AsyncGenerator[list[Frame | Summary], None]:
            yield [summary(frame([(NOW - 5, {"a": 1, "b": 1})], units={"a": "°C", "b": "V"}))]
            yield [frame([(NOW, {"a": 2})])]

    found = await latest_readings(log_of(Units([], 1)), 1)
    assert [(reading.sensor_type, reading.unit) for reading in found] == [("a", "°C"), ("b", "V")]
