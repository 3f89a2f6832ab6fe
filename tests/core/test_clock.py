"""The two spellings of a time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from roost.core.clock import SystemClock, from_ms, parse_time, rfc3339, rfc3339_from_ms, to_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ("2026-01-31t12:00:00.123456+02:00", 1_769_853_600_123),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1769860800000", 1_769_860_800_000),
        (1_769_860_800_000, 1_769_860_800_000),
    ],
)
def test_reads(text: str | int, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "today",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-13-01T00:00:00Z",
        "9" * 400,
        10**18,
        True,
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_refuses(wrong: str | int) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse_time(wrong)


def test_writes_utc_with_milliseconds() -> None:
    moment = datetime(2026, 1, 31, 13, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(moment) == "2026-01-31T12:00:00.123Z"
    assert rfc3339_from_ms(0) == "1970-01-01T00:00:00.000Z"
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_milliseconds_survive_the_way_there_and_back() -> None:
    for milliseconds in (-62_135_596_800_000, -1, 0, 1, 1_769_860_800_123, 253_402_300_799_999):
        assert to_ms(from_ms(milliseconds)) == milliseconds


def test_the_system_clock_tells_utc() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - to_ms(datetime.now(UTC))) < 5_000
    assert clock.now().tzinfo is UTC
