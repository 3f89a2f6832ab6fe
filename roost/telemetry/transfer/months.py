"""Months in UTC: how the archive is cut."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from roost.core.clock import from_ms, to_ms

_TEXT = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class Month(NamedTuple):
    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @classmethod
    def parse(cls, text: str) -> "Month":
        """`2026-01`. Raises ValueError."""
        found = _TEXT.fullmatch(text)
        if found is None or found[1] == "0000":
            raise ValueError(f"{text!r} is no month such as 2026-01.")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, ms: int) -> "Month":
        moment = from_ms(ms)
        return cls(moment.year, moment.month)

    @property
    def start_ms(self) -> int:
        return to_ms(datetime(self.year, self.month, 1, tzinfo=UTC))

    @property
    def end_ms(self) -> int:
        """Where the next one starts."""
        return self.next().start_ms

    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def before(self) -> "Month":
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)


def months_between(first: Month, last: Month) -> list[Month]:
    """Both included."""
    found = []
    while first <= last:
        found.append(first)
        first = first.next()
    return found
