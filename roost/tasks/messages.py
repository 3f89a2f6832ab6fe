"""What this room tells the others."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.core.clock import rfc3339
from roost.tasks.models import Task

CHANGED = "task.changed"
DUE = "task.due"
# One row of the outbox for so many: a bulk of ten thousand would be as many rows otherwise.
_TOLD_AT_ONCE = 200


class Place(NamedTuple):
    """Where the device of a task stands, which decides who hears of it."""

    organization_id: int | None
    home_id: int | None


def changed(task: Task, place: Place, at: datetime) -> dict[str, Any]:
    """One entry of `task.changed`, whose body is `{"tasks": [...]}`; times are RFC 3339."""
    return {
        "task_id": task.id,
        "device_id": task.device_id,
        "organization_id": place.organization_id,
        "home_id": place.home_id,
        "bulk_id": task.bulk_id,
        "task_type": task.type,
        "status": task.status,
        "attempt": task.attempts,
        "progress_percent": task.progress_percent,
        "progress_note": task.progress_note,
        "reason": task.reason,
        "leased_via": task.leased_via,
        "at": rfc3339(at),
    }


def tell_changed(session: AsyncSession, events: Sequence[dict[str, Any]]) -> None:
    """Publish, with this session's commit, what became of these tasks."""
    for start in range(0, len(events), _TOLD_AT_ONCE):
        outbox.add(session, CHANGED, {"tasks": list(events[start : start + _TOLD_AT_ONCE])})


def tell_due(session: AsyncSession, device_ids: Iterable[int]) -> None:
    """Publish that there may be work for these devices now: `{"device_ids": [...]}`."""
    waiting = sorted(set(device_ids))
    for start in range(0, len(waiting), _TOLD_AT_ONCE):
        outbox.add(session, DUE, {"device_ids": waiting[start : start + _TOLD_AT_ONCE]})
