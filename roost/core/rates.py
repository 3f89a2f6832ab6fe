"""How often: token buckets by key, in memory and of bounded size."""

from collections import OrderedDict
from collections.abc import Callable

from roost.core.clock import Clock
from roost.core.errors import TooMany


class RateLimiter:
    """`burst` at once, then `per_minute` a minute, for each key.

    The keys longest unused are forgotten beyond `capacity`, so an attacker with many addresses cannot fill the
    memory. A limiter with `per_minute` 0 allows everything.
    """

    def __init__(self, clock: Clock, *, per_minute: float, burst: int, capacity: int = 10_000) -> None:
        self._clock = clock
        self._rate_per_s = per_minute / 60
        self._burst = float(burst)
        self._capacity = capacity
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._tell: Callable[[str, int], None] = _tell_nobody

    def share(self, tell: Callable[[str, int], None]) -> None:
        """From now on `tell(key, change)` what other processes should count too; see `changed_elsewhere`."""
        self._tell = tell

    def changed_elsewhere(self, key: str, change: int) -> None:
        """Another process took a token (-1), gave one back (1), or started over (0)."""
        if change:
            # Two who are asked at once may both take the last one; the surplus is owed.
            self._store(key, min(self._burst, self._level(key) + change))
        else:
            self._buckets.pop(key, None)

    def wait_s(self, key: str) -> float:
        """Seconds until the key has a token again; 0 when it has one. Takes nothing."""
        level = self._level(key)
        return 0.0 if level >= 1 or self._rate_per_s <= 0 else (1 - level) / self._rate_per_s

    def take(self, key: str) -> float:
        """Take a token: 0 when there was one, otherwise the seconds until there is."""
        if self._rate_per_s <= 0:
            return 0.0
        level = self._level(key)
        if level < 1:
            return (1 - level) / self._rate_per_s
        self._store(key, level - 1)
        self._tell(key, -1)
        return 0.0

    def give_back(self, key: str) -> None:
        """Return a token that turned out not to be owed."""
        if key in self._buckets:
            self._store(key, min(self._burst, self._level(key) + 1))
            self._tell(key, 1)

    def check(self, key: str, detail: str) -> None:
        """Take a token or raise TooMany with `detail`."""
        wait_s = self.take(key)
        if wait_s > 0:
            raise TooMany(detail, retry_after_s=wait_s)

    def forget(self, key: str) -> None:
        """Start over for the key, with a full bucket."""
        if self._buckets.pop(key, None) is not None:
            self._tell(key, 0)

    def __len__(self) -> int:
        return len(self._buckets)

    def _level(self, key: str) -> float:
        level, at = self._buckets.get(key, (self._burst, 0.0))
        return min(self._burst, level + (self._clock.monotonic() - at) * self._rate_per_s)

    def _store(self, key: str, level: float) -> None:
        self._buckets[key] = (level, self._clock.monotonic())
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)


def _tell_nobody(_key: str, _change: int) -> None:
    return None
