"""When the disk will be full, from what was stored day by day. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

MEBIBYTE = 1024 * 1024
# Slices are rows until they are sealed: within a day or two the size goes up and down by more than it grows.
LEAST_HISTORY = timedelta(days=3)
FAR = timedelta(days=20 * 365)


@dataclass(frozen=True, slots=True)
class Stored:
    """What database and telemetry took up at one moment."""

    at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """`bytes_per_day` and `full_at` are None where nothing can honestly be said; `detail` is a sentence about it."""

    bytes_per_day: int | None
    full_at: datetime | None
    history_days: float
    detail: str
    usable_bytes: int | None


def forecast(history: Sequence[Stored], now: datetime, *, usable_bytes: int | None) -> Forecast:
    """From samples of about a day each, oldest first; `usable_bytes` may still be filled (None: not known here)."""
    span = history[-1].at - history[0].at if history else timedelta()
    days = round(span / timedelta(days=1), 1)

    def say(per_day: int | None, full_at: datetime | None, detail: str) -> Forecast:
        return Forecast(per_day, full_at, days, detail, usable_bytes)

    if span < LEAST_HISTORY:
        return say(None, None, f"Too early to say: {days:g} of at least 3 days have been watched.")
    # The median from one day to the next: one on which much was deleted, or brought in, does not decide.
    slopes = [
        (later.bytes - earlier.bytes) / ((later.at - earlier.at) / timedelta(days=1))
        for earlier, later in pairwise(history)
        if later.at > earlier.at
    ]
    per_day = round(median(slopes))
    grows = f"{per_day / MEBIBYTE:,.1f} MiB a day"
    if usable_bytes is None:
        return say(per_day, None, f"It grows by {grows}, on a disk that the hub does not see.")
    if per_day <= 0:
        return say(per_day, None, "What is stored does not grow.")
    if usable_bytes / per_day > FAR / timedelta(days=1):
        return say(per_day, None, f"At {grows} it lasts for more than 20 years.")
    full_at = now + timedelta(days=max(0, usable_bytes) / per_day)
    return say(per_day, full_at, f"Full on {full_at.day} {full_at:%B %Y} at {grows}.")
