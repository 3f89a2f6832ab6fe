"""Saying when the disk will be full, or that it cannot be said."""

from datetime import UTC, datetime, timedelta

from roost.ops.forecast import MEBIBYTE, Stored, forecast

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def history(*sizes_mib: float) -> list[Stored]:
    """A sample a day, the last one today."""
    last = len(sizes_mib) - 1
    return [Stored(NOW - timedelta(days=last - day), round(size * MEBIBYTE)) for day, size in enumerate(sizes_mib)]


def test_full_at_this_rate() -> None:
    told = forecast(history(100, 110, 120, 130, 140), NOW, usable_bytes=300 * MEBIBYTE)
    assert told.bytes_per_day == 10 * MEBIBYTE
    assert told.full_at == NOW + timedelta(days=30)
    assert told.detail == "Full on 3 March 2026 at 10.0 MiB a day."


def test_too_little_history() -> None:
    for known in ([], history(100), history(100, 150, 200)):
        told = forecast(known, NOW, usable_bytes=MEBIBYTE)
        assert (told.bytes_per_day, told.full_at) == (None, None)
        assert told.detail.startswith("Too early to say")


def test_a_day_on_which_much_was_deleted_does_not_decide() -> None:
    told = forecast(history(500, 510, 520, 530, 540, 50, 60, 70, 80, 90, 100, 110), NOW, usable_bytes=MEBIBYTE * 100)
    assert told.bytes_per_day == 10 * MEBIBYTE


def test_what_does_not_grow_or_hardly() -> None:
    shrinks = forecast(history(100, 99, 98, 97), NOW, usable_bytes=MEBIBYTE)
    assert shrinks.full_at is None
    assert shrinks.detail == "What is stored does not grow."
    slow = forecast(history(100, 100.1, 100.2, 100.3), NOW, usable_bytes=10**15)
    assert slow.full_at is None
    assert "more than 20 years" in slow.detail


def test_full_already() -> None:
    assert forecast(history(1, 2, 3, 4), NOW, usable_bytes=-5).full_at == NOW


def test_a_disk_that_is_not_seen() -> None:
    told = forecast(history(1, 2, 3, 4), NOW, usable_bytes=None)
    assert told.bytes_per_day == MEBIBYTE
    assert told.full_at is None
