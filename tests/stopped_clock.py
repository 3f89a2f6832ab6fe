"""A clock for tests: it stands still until the test moves it."""

from datetime import datetime

from roost.core.clock import from_ms


class StoppedClock:
    """The wall clock and `monotonic` move together, by `advance` only."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = now_ms

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)

    def now(self) -> datetime:
        return from_ms(self._now_ms)

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._now_ms / 1000
