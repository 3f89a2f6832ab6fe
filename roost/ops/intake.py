"""How telemetry is coming in: rates, refusals, and how the commits went."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from roost.core.clock import Clock
from roost.ops.counting import PerSecond
from roost.telemetry.ingest import Handled, Ingest

NOW_S = 10
LATELY_S = 300
# Upper bounds of the histogram of commits, in seconds: an fsync on an SD card takes a hundred times one on NVMe.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(slots=True)
class CommitFigures:
    """Commits since the process started: how many held, how many failed, how long they took altogether."""

    stored: int = 0
    failed: int = 0
    seconds: float = 0.0
    # One more than there are bounds: the last counts what took longer than any.
    by_duration: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))


class Intake:
    """Listens to the ingest path: a few additions a group of messages."""

    def __init__(self, ingest: Ingest, clock: Clock) -> None:
        self.ingest = ingest
        # Whether the last commit failed.
        self.failing = False
        self.commits = CommitFigures()
        self._clock = clock
        self._stored = PerSecond(clock, LATELY_S)
        self._refused = PerSecond(clock, LATELY_S)
        self._last_stored_s: float | None = None
        self._end: Callable[[], None] = ingest.watch(self._on_handled)

    def stop(self) -> None:
        """Listen no more."""
        self._end()

    def messages_per_second(self, last_s: int) -> float:
        """Stored messages a second, over at most the last five minutes."""
        return round(self._stored.rate(last_s), 2)

    @property
    def refused_lately(self) -> int:
        """Messages refused within the last five minutes."""
        return self._refused.total()

    @property
    def stored_ago_s(self) -> float | None:
        """Seconds since a message was last made safe; None when none was in the life of this process."""
        return None if self._last_stored_s is None else self._clock.monotonic() - self._last_stored_s

    @property
    def last_stored_at(self) -> datetime | None:
        """The same as a moment."""
        ago_s = self.stored_ago_s
        return None if ago_s is None else self._clock.now() - timedelta(seconds=ago_s)

    def _on_handled(self, group: Handled) -> None:
        if group.refused:
            self._refused.add(group.refused)
        commits = self.commits
        if group.failed:
            commits.failed += 1
            self.failing = True
        elif group.stored:
            self.failing = False
            commits.stored += 1
            commits.seconds += group.took_s
            commits.by_duration[bisect.bisect_left(BOUNDS_S, group.took_s)] += 1
            self._stored.add(group.stored)
            self._last_stored_s = self._clock.monotonic()
