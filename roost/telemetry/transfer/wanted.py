"""What an export is asked for, and where one that broke off goes on. Loads nothing heavy: endpoints import it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from roost.core.clock import parse_time, rfc3339_from_ms

Format = Literal["csv", "jsonl", "parquet", "arrow"]
What = Literal["readings", "events"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
_POSITION = re.compile(r"([1-9][0-9]{0,15}),([^,]{1,40}),([1-9][0-9]{0,15})")


class Position(NamedTuple):
    """How far a file of readings goes: its last `rows` rows are those of this device at this moment (ms)."""

    device_id: int
    time: int
    rows: int

    def __str__(self) -> str:
        return f"{self.device_id},{rfc3339_from_ms(self.time)},{self.rows}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        found = _POSITION.fullmatch(text.replace(" ", "+"))
        if found is None:
            raise ValueError("It is the last row's device_id, its time, and how many rows have both: 7,…T12:00:00Z,3.")
        return cls(int(found[1]), parse_time(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of these series (none: all) observed from `since` to before `until` (ms).

    Those after `position`, at most `max_rows` of them.
    """

    format: Format
    since: int
    until: int
    keys: Sequence[str] = ()
    position: Position | None = None
    max_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """Events observed from `since` to before `until` (ms), the newest first.

    Those with ids below `before_id`, at most `max_rows` of them.
    """

    format: Format
    since: int
    until: int
    event_type: str | None = None
    before_id: int | None = None
    max_rows: int | None = None
