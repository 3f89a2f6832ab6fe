"""How long to wait before trying again, so that a thousand devices do not come back in the same second."""

import random
from collections.abc import Callable

FIRST_S = 1.0
LONGEST_S = 300.0


class Backoff:
    """Doubles with every failure, and takes a random moment of what that gives (full jitter).

    `chance` answers numbers in [0, 1).
    """

    def __init__(
        self, first_s: float = FIRST_S, longest_s: float = LONGEST_S, chance: Callable[[], float] = random.random
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self._failures = 0

    def pause_s(self, asked_s: float | None = None) -> float:
        """Seconds until the next try, one failure more; never sooner than the hub asked for."""
        ceiling_s: float = min(self._longest_s, self._first_s * 2 ** min(self._failures, 30))
        self._failures += 1
        if asked_s is None:
            return ceiling_s * self._chance()
        # Everybody was told the same number: spread those that come back at it.
        return asked_s + min(ceiling_s, asked_s) * self._chance()

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self._failures = 0
