"""How a bridge is doing, as its owner sees it."""

from datetime import datetime

from roost.bridges.schemas import Status
from roost.core.clock import Clock


class Standing:
    """Kept in memory and written down by whoever finds it `changed`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.status: Status = "waiting"
        self.reason: str | None = "It has not connected yet."
        self.since: datetime = clock.now()
        self.problem: str | None = None
        self.problem_at: datetime | None = None
        self.changed = False

    def become(self, status: Status, reason: str | None) -> None:
        """`reason` is a sentence for the bridge's owner."""
        if status != self.status:
            self.since = self._clock.now()
        if (status, reason) != (self.status, self.reason):
            self.status, self.reason, self.changed = status, reason, True

    def note_problem(self, problem: str) -> None:
        """A message could not be taken, and why."""
        self.problem, self.problem_at, self.changed = problem, self._clock.now(), True
