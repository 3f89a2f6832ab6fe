"""Aggregates over pieces are what a plain calculation over all readings says, however the readings are cut."""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.core.errors import Invalid
from roost.telemetry.aggregates import AGGREGATES, SUMMARISED
from roost.telemetry.analysis import accumulation
from roost.telemetry.analysis.accumulation import Accumulation, Piece
from roost.telemetry.buckets import CalendarBuckets, FixedBuckets, OneBucket
from roost.telemetry.messages import Value
from tests.telemetry.analysis.frames_by_hand import Sent, frame, summary

T0 = 1_735_689_600_000
WIDTH = 1_000


def answers(gathered: Accumulation, names: Sequence[str]) -> dict[tuple[Any, str], dict[int, dict[str, Any]]]:
    return {
        (series.group, series.key): {
            start: {name: cell.answer(name) for name in names} for start, cell in series.cells.items()
        }
        for series in gathered.series()
    }


def plain(points: list[tuple[int, float]]) -> dict[str, float]:
    """All aggregates of at least one point, in the order of time, the slow way."""
    values = [value for _, value in points]
    ordered = sorted(values)

    def percentile(share: float) -> float:
        place = share * (len(ordered) - 1)
        above = min(int(place) + 1, len(ordered) - 1)
        return ordered[int(place)] + (ordered[above] - ordered[int(place)]) * (place - int(place))

    return {
        "avg": statistics.fmean(values), "min": min(values), "max": max(values), "sum": sum(values),
        "count": len(values), "first": values[0], "last": values[-1], "stddev": statistics.pstdev(values),
        "p05": percentile(0.05), "p50": percentile(0.5), "p95": percentile(0.95), "p99": percentile(0.99),
    }  # fmt: skip


numbers = st.one_of(
    st.integers(-1000, 1000), st.booleans(), st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
)
messages = st.dictionaries(st.sampled_from(["a", "b"]), numbers, min_size=1)
histories = st.lists(st.tuples(st.integers(0, 4_000), messages), min_size=1, max_size=60)


def by_time(history: list[tuple[int, dict[str, Value]]]) -> list[Sent]:
    return [(T0 + at, values) for at, values in sorted(history, key=lambda entry: entry[0])]


def distinct(sent: list[Sent]) -> dict[str, list[tuple[int, float]]]:
    """Points of each series; the same value at the same moment once."""
    points: dict[str, dict[tuple[int, Value], None]] = {}
    for at, values in sent:
        for key, value in values.items():
            points.setdefault(key, {})[at, value] = None
    return {key: [(at, float(value)) for at, value in found] for key, found in points.items()}


def cut_up(sent: list[Sent], cuts: list[int], *, summarised: Accumulation | None = None) -> list[Piece]:
    """Frames that do not overlap in time; summaries of those which the accumulation would take so."""
    edges = sorted({T0 + cut for cut in cuts} | {T0, T0 + 10_000})
    made: list[Piece] = []
    for since, until in pairwise(edges):
        part = [entry for entry in sent if since <= entry[0] < until]
        if part:
            found = frame(part)
            fits = summarised is not None and summarised.whole(int(found.times[0]), int(found.times[-1]))
            made.append(summary(found) if fits else found)
    return made


@given(history=histories, cuts=st.lists(st.integers(0, 4_000), max_size=6))
@settings(max_examples=120, deadline=None)
def test_buckets_equal_a_plain_calculation(history: list[tuple[int, dict[str, Value]]], cuts: list[int]) -> None:
    sent = by_time(history)
    gathered = Accumulation(FixedBuckets(WIDTH), AGGREGATES)
    for piece in cut_up(sent, cuts):
        gathered.fold(piece)
    found = answers(gathered, AGGREGATES)
    expected = distinct(sent)
    assert set(found) == {(1, key) for key in expected}
    for key, points in expected.items():
        starts = sorted({at - at % WIDTH for at, _ in points})
        assert list(found[1, key]) == starts
        for start in starts:
            inside = [point for point in points if start <= point[0] < start + WIDTH]
            assert found[1, key][start] == pytest.approx(plain(inside), rel=1e-9, abs=1e-6)


@given(
    histories=st.lists(histories, min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 4_000), max_size=6),
    together=st.integers(1, 40),
    unsettled=st.sampled_from([0, 5, 1_000]),
    few=st.sampled_from([0, 2, 1_000]),
)
@settings(max_examples=80, deadline=None)
def test_devices_together_equal_a_plain_calculation(
    histories: list[list[tuple[int, dict[str, Value]]]], cuts: list[int], together: int, unsettled: int, few: int
) -> None:
    """Some of the pieces of each device are summaries; they are taken so many at a time, whosever they are."""
    names = SUMMARISED if together % 2 else AGGREGATES
    gathered = Accumulation(FixedBuckets(WIDTH), names, group_of=lambda _: "all")
    pieces: list[Piece] = []
    points: dict[str, list[tuple[int, int, float]]] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(accumulation, "UNSETTLED", unsettled)
        patched.setattr(accumulation, "FEW", few)
        for number, history in enumerate(histories):
            device_id = -number  # not in the order of their ids
            sent = by_time(history)
            pieces += [piece._replace(device_id=device_id) for piece in cut_up(sent, cuts, summarised=gathered)]
            for key, found in distinct(sent).items():
                points.setdefault(key, []).extend((at, number, value) for at, value in found)
        for start in range(0, len(pieces), together):
            gathered.fold_all(pieces[start : start + together])
    for series in gathered.series():
        for start, cell in series.cells.items():
            inside = [point for point in points[series.key] if start <= point[0] < start + WIDTH]
            ordered = [(at, value) for at, _, value in sorted(inside, key=lambda point: point[:2])]
            expected = {name: value for name, value in plain(ordered).items() if name in names}
            assert {name: cell.answer(name) for name in names} == pytest.approx(expected, rel=1e-9, abs=1e-6)
            assert cell.devices == len({device_id for _, device_id, _ in inside})


@given(history=histories, cuts=st.lists(st.integers(0, 4_000), max_size=6))
@settings(max_examples=80, deadline=None)
def test_summaries_say_the_same_as_the_readings(history: list[tuple[int, dict[str, Value]]], cuts: list[int]) -> None:
    sent = by_time(history)
    decoded, summarised = (Accumulation(FixedBuckets(WIDTH), SUMMARISED) for _ in range(2))
    for piece in cut_up(sent, cuts):
        decoded.fold(piece)
    for piece in cut_up(sent, cuts, summarised=summarised):
        summarised.fold(piece)
    expected = answers(decoded, SUMMARISED)
    for name, cells in answers(summarised, SUMMARISED).items():
        for start, cell in cells.items():
            assert cell == pytest.approx(expected[name][start], rel=1e-9, abs=1e-6)


def test_a_summary_does_only_within_one_bucket_and_without_percentiles() -> None:
    averages = Accumulation(CalendarBuckets("d"), ["avg", "max"])
    assert averages.whole(T0, T0 + 86_399_999)
    assert not averages.whole(T0, T0 + 86_400_000)
    assert not Accumulation(OneBucket(), ["avg", "p95"]).whole(T0, T0)
    assert not Accumulation(OneBucket(), ["stddev"]).whole(T0, T0)


def test_groups_gather_their_devices() -> None:
    gathered = Accumulation(FixedBuckets(WIDTH), ["avg", "p50", "first", "last"], group_of=lambda device: device % 2)
    for device_id, value in ((1, 1), (2, 10), (3, 3), (5, 8)):
        gathered.fold(frame([(T0 + device_id, {"a": value}), (T0 + 500 - device_id, {"a": value})], device_id))
    odd, even = gathered.series()
    assert (odd.group, even.group) == (1, 0)
    assert (odd.cells[T0].devices, even.cells[T0].devices) == (3, 1)
    assert [odd.cells[T0].answer(name) for name in ("avg", "p50", "first", "last")] == [4, 3, 1, 1]


def test_the_newest_unit_of_a_series_counts() -> None:
    gathered = Accumulation(OneBucket(), ["avg"])
    gathered.fold(frame([(T0, {"a": 1})], units={"a": "°F"}))
    gathered.fold(frame([(T0 + 1, {"a": 1})], units={"a": "°C"}))
    gathered.fold(frame([(T0 + 2, {"a": 1})]))
    assert [series.unit for series in gathered.series()] == ["°C"]


def test_what_no_double_can_hold_is_told_as_the_largest_or_as_nothing() -> None:
    gathered = Accumulation(OneBucket(), AGGREGATES)
    gathered.fold(frame([(T0, {"a": 1.7e308}), (T0 + 1, {"a": 1.6e308})]))
    (cell,) = answers(gathered, AGGREGATES)[1, "a"].values()
    assert (cell["max"], cell["p05"] > 1.6e308, cell["sum"]) == (1.7e308, True, 1.7976931348623157e308)

    gathered = Accumulation(OneBucket(), SUMMARISED)
    gathered.fold(frame([(T0, {"a": 1.7e308}), (T0 + 1, {"a": 1.6e308})]))
    gathered.fold(frame([(T0 + 2, {"a": -1.7e308}), (T0 + 3, {"a": -1.6e308})]))
    (cell,) = answers(gathered, SUMMARISED)[1, "a"].values()
    assert (cell["min"], cell["avg"], cell["sum"]) == (-1.7e308, None, None)


def test_too_much_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulation, "MOST_CELLS", 3)
    gathered = Accumulation(FixedBuckets(1), ["avg"])
    gathered.fold(frame([(T0 + n, {"a": n}) for n in range(4)]))
    with pytest.raises(Invalid, match="wider ones") as refused:
        list(gathered.series())
    assert refused.value.code == "too_many"
    monkeypatch.setattr(accumulation, "UNSETTLED", 3)
    with pytest.raises(Invalid, match="wider ones"):
        Accumulation(FixedBuckets(1), ["avg"]).fold(frame([(T0 + n, {"a": n}) for n in range(4)]))

    monkeypatch.setattr(accumulation, "MOST_VALUES", 3)
    with pytest.raises(Invalid, match="narrower buckets") as refused:
        Accumulation(OneBucket(), ["p50"]).fold(frame([(T0 + n, {"a": n}) for n in range(4)]))
    assert refused.value.code == "too_much"


def test_percentiles_of_many_narrow_buckets_need_the_memory_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulation, "MOST_VALUES", 3)
    gathered = Accumulation(FixedBuckets(2), ["p50"])
    for start in range(0, 20, 2):
        gathered.fold(frame([(T0 + start, {"a": start}), (T0 + start + 1, {"a": start + 1})]))
    assert [cell["p50"] for cell in answers(gathered, ["p50"])[1, "a"].values()] == [n + 0.5 for n in range(0, 20, 2)]
