"""Floods in few entries: what one caller repeats is counted, so that no attacker decides how long the log gets.

The first of its kind is written at once. What follows within a minute becomes one more entry with the count, and as
long as it goes on the intervals double, up to an hour. A caller who varies what is asked for is folded as a caller, and
many callers at once as one crowd.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from roost.access.audit.log import ANONYMOUS, Deed
from roost.core.clock import Clock
from roost.core.rates import RateLimiter

WINDOW_S = 60.0
LONGEST_WINDOW_S = 3600.0
# New kinds of refusals a minute: of one caller, and of everybody together.
KINDS_OF_A_CALLER = 20
KINDS = 200
_MOST_OPEN = 10_000


@dataclass(slots=True)
class _Fold:
    deed: Deed
    window_s: float
    ends_at_s: float
    count: int = 0


class Folding:
    """Decides what is written now and what is only counted; times are those of `clock.monotonic`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Hashable, _Fold] = {}
        self._callers = RateLimiter(clock, per_minute=KINDS_OF_A_CALLER, burst=KINDS_OF_A_CALLER)
        self._all = RateLimiter(clock, per_minute=KINDS, burst=KINDS)

    def take(self, deed: Deed) -> Deed | None:
        """What to write for this deed now; None when it is counted."""
        caller = (deed.action, deed.actor, deed.address)
        exact = (*caller, deed.object_kind, deed.object_id, deed.object_name, *_distinctions(deed))
        for key, said in ((exact, deed), (caller, _of_caller(deed)), (deed.action, _of_crowd(deed))):
            fold = self._open.get(key)
            if fold is not None:
                fold.count += 1
                return None
            if key == deed.action or self._has_room(key is exact, caller):
                self._open[key] = _Fold(said, WINDOW_S, self._clock.monotonic() + WINDOW_S)
                return said
        return None

    def due(self, *, every: bool = False) -> list[Deed]:
        """The counts of the windows that are over, or of `every` one."""
        now_s = self._clock.monotonic()
        said: list[Deed] = []
        for key, fold in tuple(self._open.items()):
            if not every and fold.ends_at_s > now_s:
                continue
            if not fold.count:
                del self._open[key]
                continue
            counted = {**fold.deed.details, "count": fold.count, "within_s": round(fold.window_s)}
            said.append(replace(fold.deed, details=counted, at=self._clock.now()))
            fold.count = 0
            fold.window_s = min(2 * fold.window_s, LONGEST_WINDOW_S)
            fold.ends_at_s = now_s + fold.window_s
        return said

    def next_due_s(self) -> float | None:
        """Seconds until some window is over; None when none is open."""
        ends = [fold.ends_at_s for fold in self._open.values()]
        return max(0.0, min(ends) - self._clock.monotonic()) if ends else None

    def _has_room(self, exact: bool, caller: tuple[Hashable, ...]) -> bool:
        if len(self._open) >= _MOST_OPEN or (exact and self._callers.take(repr(caller)) > 0):
            return False
        return self._all.take("") == 0


def _distinctions(deed: Deed) -> tuple[object, ...]:
    return deed.details.get("code"), deed.details.get("method"), deed.details.get("path")


def _of_caller(deed: Deed) -> Deed:
    return replace(deed, object_kind=None, object_id=None, object_name=None, details={"various": True})


def _of_crowd(deed: Deed) -> Deed:
    alone = _of_caller(deed)
    return replace(alone, actor=ANONYMOUS, address=None, organization_id=None, details={"various_callers": True})
