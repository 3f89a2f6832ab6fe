"""How much happens: events by the second, over a window that moves."""

from collections import deque

from roost.core.clock import Clock


class PerSecond:
    """Counts events of the last `window_s` seconds; adding one costs a comparison and an addition."""

    def __init__(self, clock: Clock, window_s: int) -> None:
        self._clock = clock
        self._window_s = window_s
        self._started = clock.monotonic()
        self._seconds: deque[tuple[int, int]] = deque()
        self._second = 0
        self._count = 0

    def add(self, count: int = 1) -> None:
        """So many events, now."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._turn(second)
        self._count += count

    def total(self, last_s: int | None = None) -> int:
        """Events of the last `last_s` seconds (by default of the whole window)."""
        now = int(self._clock.monotonic())
        self._turn(now)
        since = now - (last_s or self._window_s)
        return self._count + sum(count for second, count in self._seconds if second > since)

    def rate(self, last_s: int) -> float:
        """Events a second over the last `last_s` seconds, or since counting began if that is shorter."""
        counted_s = min(float(last_s), max(1.0, self._clock.monotonic() - self._started))
        return self.total(last_s) / counted_s

    def _turn(self, second: int) -> None:
        if self._count:
            self._seconds.append((self._second, self._count))
        self._second, self._count = second, 0
        while self._seconds and self._seconds[0][0] <= second - self._window_s:
            self._seconds.popleft()
