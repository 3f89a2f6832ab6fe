"""Time: one source of it, and the two spellings of it that cross the wire (RFC 3339 and integer milliseconds)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What `datetime` can express: 0001-01-01 to 9999-12-31.
_MIN_MS = -62_135_596_800_000
_MAX_MS = 253_402_300_799_999


class Clock(Protocol):
    """Where the time comes from; tests hand in their own."""

    def now(self) -> datetime:
        """The wall clock as an aware datetime in UTC."""
        ...

    def now_ms(self) -> int:
        """The wall clock in milliseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for durations and deadlines."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`; naive datetimes are refused with ValueError."""
    if moment.tzinfo is None:
        raise ValueError("A time without a zone cannot be written as RFC 3339.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_from_ms(milliseconds: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC."""
    return rfc3339(from_ms(milliseconds))


def from_ms(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as an aware datetime; ValueError outside the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=_expressible(milliseconds))


def to_ms(moment: datetime) -> int:
    """An aware datetime as milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_time(value: str | int) -> int:
    """RFC 3339 text (or digits) or integer milliseconds, as milliseconds since 1970. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("A time is RFC 3339 text or integer milliseconds.")  # noqa: TRY004 - as promised above
    if isinstance(value, int):
        return _expressible(value)
    text = value.strip()
    if text.lstrip("-").isdecimal() and text.isascii():
        if len(text) > 16:
            raise ValueError("The time is outside the years 1 to 9999.")
        return _expressible(int(text))
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt ":
        raise ValueError("A time is RFC 3339 text such as 2026-01-31T12:00:00Z, or integer milliseconds.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no RFC 3339 time.") from error
    if moment.tzinfo is None:
        raise ValueError("The time has no zone; add Z for UTC.")
    return _expressible(to_ms(moment))


def _expressible(milliseconds: int) -> int:
    if not _MIN_MS <= milliseconds <= _MAX_MS:
        raise ValueError("The time is outside the years 1 to 9999.")
    return milliseconds
