"""Where buckets begin and end, clocks that change included."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.core.clock import parse_time, rfc3339_from_ms
from roost.telemetry.buckets import Buckets, CalendarBuckets, CalendarUnit, FixedBuckets, edges_over

HOUR = 3_600_000


def starts(buckets: Buckets, moment: str, count: int) -> list[str]:
    edges = [buckets.start_of(parse_time(moment))]
    while len(edges) < count:
        edges.append(buckets.following(edges[-1]))
    return [rfc3339_from_ms(edge).replace(":00.000Z", "Z") for edge in edges]


@pytest.mark.parametrize(
    ("unit", "count", "zone", "moment", "expected"),
    [
        # 23 and 25 hours: the clocks go forward on the last Sunday of March, back on the last of October.
        ("d", 1, "Europe/Berlin", "2025-03-30T12:00:00Z", ["2025-03-29T23:00Z", "2025-03-30T22:00Z"]),
        ("d", 1, "Europe/Berlin", "2025-10-26T12:00:00Z", ["2025-10-25T22:00Z", "2025-10-26T23:00Z"]),
        ("d", 1, "America/New_York", "2025-11-02T04:00:00Z", ["2025-11-02T04:00Z", "2025-11-03T05:00Z"]),
        ("d", 1, "Asia/Kolkata", "2025-06-01T00:00:00Z", ["2025-05-31T18:30Z", "2025-06-01T18:30Z"]),
        # Midnight itself is skipped: the day begins at one o'clock.
        ("d", 1, "America/Sao_Paulo", "2018-11-04T12:00:00Z", ["2018-11-04T03:00Z", "2018-11-05T02:00Z"]),
        # Midnight comes twice: the first one counts.
        ("d", 1, "America/Havana", "2025-11-02T12:00:00Z", ["2025-11-02T04:00Z", "2025-11-03T05:00Z"]),
        # A minute after midnight the clocks went back into the day before, which had already ended.
        ("d", 1, "America/St_Johns", "2010-11-07T02:45:00Z", ["2010-11-07T02:30Z", "2010-11-08T03:30Z"]),
        # Samoa had no 30 December 2011.
        ("d", 1, "Pacific/Apia", "2011-12-30T09:00:00Z", ["2011-12-29T10:00Z", "2011-12-30T10:00Z"]),
        ("w", 1, "UTC", "2025-01-01T00:00:00Z", ["2024-12-30T00:00Z", "2025-01-06T00:00Z"]),
        ("w", 1, "Europe/Berlin", "2025-03-30T12:00:00Z", ["2025-03-23T23:00Z", "2025-03-30T22:00Z"]),
        ("mo", 1, "Europe/Berlin", "2024-02-29T12:00:00Z", ["2024-01-31T23:00Z", "2024-02-29T23:00Z"]),
        ("mo", 3, "UTC", "2025-05-05T00:00:00Z", ["2025-04-01T00:00Z", "2025-07-01T00:00Z", "2025-10-01T00:00Z"]),
        ("y", 1, "UTC", "2025-12-31T23:59:59Z", ["2025-01-01T00:00Z", "2026-01-01T00:00Z"]),
        ("d", 2, "UTC", "1970-01-02T00:00:00Z", ["1970-01-01T00:00Z", "1970-01-03T00:00Z"]),
        ("d", 1, "Europe/Berlin", "1970-01-01T00:00:00Z", ["1969-12-31T23:00Z", "1970-01-01T23:00Z"]),
    ],
)  # fmt: skip
def test_calendar(unit: CalendarUnit, count: int, zone: str, moment: str, expected: list[str]) -> None:
    assert starts(CalendarBuckets(unit, count, ZoneInfo(zone)), moment, len(expected)) == expected


def test_fixed_widths_count_from_1970() -> None:
    assert starts(FixedBuckets(5 * 60_000), "2025-01-01T00:07:00Z", 2) == ["2025-01-01T00:05Z", "2025-01-01T00:10Z"]
    assert FixedBuckets(HOUR).edges(HOUR - 1, 3 * HOUR) == [0, HOUR, 2 * HOUR, 3 * HOUR]


def test_a_calendar_that_ends_before_the_bucket_does() -> None:
    buckets = CalendarBuckets("y", 9_999_999)
    assert buckets.edges(0, 2**42) == [0]
    assert buckets.following(0) > 2**61


zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"]
)  # fmt: skip
units: st.SearchStrategy[CalendarUnit] = st.sampled_from(["d", "w", "mo", "y"])


@given(
    unit=units, count=st.integers(1, 9), zone=zones, moment=st.integers(0, 1_900_000_000_000), ahead=st.integers(0, 400)
)
@settings(max_examples=150, deadline=None)
def test_buckets_divide_time_without_gaps(unit: CalendarUnit, count: int, zone: str, moment: int, ahead: int) -> None:
    buckets = CalendarBuckets(unit, count, ZoneInfo(zone))
    start = buckets.start_of(moment)
    assert start <= moment < buckets.following(start)
    assert buckets.start_of(start) == buckets.start_of(buckets.following(start) - 1) == start
    last = moment + ahead * 24 * HOUR
    edges = buckets.edges(moment, last)
    assert edges == sorted(set(edges))
    assert (edges[0], edges[-1]) == (start, buckets.start_of(last))
    assert all(buckets.following(before) == after for before, after in pairwise(edges))


@given(moment=st.integers(0, 1_900_000_000_000))
@settings(max_examples=100, deadline=None)
def test_a_day_in_utc_is_the_same_either_way(moment: int) -> None:
    assert CalendarBuckets("d").start_of(moment) == FixedBuckets(24 * HOUR).start_of(moment)


@given(days=st.integers(0, 20_000))
@settings(max_examples=100, deadline=None)
def test_a_day_in_berlin_begins_at_its_midnight(days: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    noon = datetime(1980, 1, 1, 12, tzinfo=zone) + timedelta(days=days)
    start = CalendarBuckets("d", 1, zone).start_of(int(noon.timestamp() * 1000))
    local = datetime.fromtimestamp(start / 1000, zone)
    assert (local.date(), local.hour, local.minute) == (noon.date(), 0, 0)


def test_edges_hold_the_whole_span_and_no_more() -> None:
    assert edges_over(FixedBuckets(10), 15, 40, 10) == [10, 20, 30]
    assert edges_over(FixedBuckets(10), 15, 41, 10) == [10, 20, 30, 40]
    assert edges_over(FixedBuckets(10), 15, 41, 3) is None
    assert edges_over(CalendarBuckets("y"), 0, 2**62, 20_000) is not None
