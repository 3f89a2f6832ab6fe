"""What becomes of a task: its states, which may follow which, and what a failure or a lost lease leads to. No I/O.

queued ─► leased ─► done
  ▲         │  ├──► failed
  └─────────┤  └──► cancelled
   tried    └─────► expired
   again
"""

from datetime import datetime, timedelta
from typing import Literal, get_args

Status = Literal["queued", "leased", "done", "failed", "cancelled", "expired"]
STATUSES: tuple[Status, ...] = get_args(Status)

TRANSITIONS: dict[Status, frozenset[Status]] = {
    "queued": frozenset({"leased", "cancelled", "expired"}),
    "leased": frozenset({"done", "failed", "queued", "cancelled", "expired"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
}
ENDED = frozenset(status for status, following in TRANSITIONS.items() if not following)

SHORTEST_LEASE_S, LONGEST_LEASE_S = 5, 600
# So often a lease may be lost when nobody said otherwise: what makes a device crash must not do so for ever.
LOST_LEASES = 10
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 5, 3600


class NotAllowed(Exception):  # noqa: N818 - it reads as what it says
    """A transition that is not in the table: a mistake of ours, never of a caller."""


def check_transition(before: Status, after: Status) -> None:
    """Raises NotAllowed."""
    if after not in TRANSITIONS[before]:
        raise NotAllowed(f"A task that is {before} cannot become {after}.")


def clamped_lease_s(wanted_s: int) -> int:
    """The length of a lease, between 5 and 600 seconds."""
    return min(max(wanted_s, SHORTEST_LEASE_S), LONGEST_LEASE_S)


def after_failure(attempts: int, max_attempts: int | None) -> Literal["queued", "failed"]:
    """What follows when the device says that it failed: its word is final, unless more attempts were asked for."""
    return "queued" if max_attempts is not None and attempts < max_attempts else "failed"


def after_lost_lease(
    attempts: int, max_attempts: int | None, expires_at: datetime | None, now: datetime
) -> Literal["queued", "failed", "expired"]:
    """What follows when nothing was heard for the length of the lease."""
    if attempts >= (LOST_LEASES if max_attempts is None else max_attempts):
        return "failed"
    return "expired" if expires_at is not None and expires_at <= now else "queued"


def back_off(attempts: int) -> timedelta:
    """How long to wait before the next attempt after so many that failed."""
    return timedelta(seconds=min(_FIRST_BACK_OFF_S * 2 ** min(attempts - 1, 20), _LONGEST_BACK_OFF_S))
