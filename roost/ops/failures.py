"""What went wrong lately: the warnings and errors that the rooms log, counted by their kind."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from roost.core.clock import Clock
from roost.core.ids import redact

KEPT = timedelta(hours=24)
MOST_KINDS = 100
LONGEST_MESSAGE = 300
_PACKAGE = "roost"


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of problem: where, how bad, how often within the last day, and the last sentence about it."""

    room: str
    level: str
    message: str
    count: int
    first_at: datetime
    last_at: datetime


class Failures(logging.Handler):
    """Listens to the log. Kept in memory, at most 100 kinds: whatever more somebody provokes, the oldest goes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str], Failure] = OrderedDict()
        # By room and level, since the process started.
        self.totals: dict[tuple[str, str], int] = {}

    def start(self) -> None:
        """Begin to listen."""
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; called in whichever thread logs, one at a time."""
        package, _, rest = record.name.partition(".")
        room = rest.partition(".")[0] or package
        if package not in {_PACKAGE, "uvicorn"}:
            return
        room = room if package == _PACKAGE else "http"
        now = self._clock.now()
        key = (record.name, str(record.msg))
        before = self._kinds.pop(key, None)
        level = record.levelname.lower()
        self._kinds[key] = Failure(
            room=room,
            level=level,
            message=_sentence(record),
            count=before.count + 1 if before else 1,
            first_at=before.first_at if before else now,
            last_at=now,
        )
        self.totals[room, level] = self.totals.get((room, level), 0) + 1
        if len(self._kinds) > MOST_KINDS:
            self._kinds.popitem(last=False)

    def recent(self) -> list[Failure]:
        """The kinds of the last day, the latest first."""
        oldest = self._clock.now() - KEPT
        self.acquire()
        try:
            while self._kinds and next(iter(self._kinds.values())).last_at < oldest:
                self._kinds.popitem(last=False)
            return list(reversed(self._kinds.values()))
        finally:
            self.release()


def _sentence(record: logging.LogRecord) -> str:
    # The first line only: what a database says goes on with the statement and its values.
    lines = record.getMessage().splitlines() or [""]
    sentence = redact(lines[0])[:LONGEST_MESSAGE]
    kind = record.exc_info[0] if record.exc_info else None
    return f"{sentence} ({kind.__name__})" if kind is not None else sentence
