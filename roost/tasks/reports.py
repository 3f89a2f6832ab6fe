"""What devices say of the tasks they hold: done, failed, how far, more time. Many reports in one transaction."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from roost.core.errors import Conflict, NotFound, RoostError
from roost.tasks.messages import Place
from roost.tasks.models import Task, TaskStep
from roost.tasks.record import Record
from roost.tasks.schemas import LeaseHeld, TaskCompleted
from roost.tasks.states import ENDED, after_failure, back_off, check_transition, clamped_lease_s

_LONGEST_REASON = 500
_SAID_IN = ("error", "reason", "message", "detail")


@dataclass(frozen=True, slots=True)
class Report:
    """From the device that the task belongs to. Without a lease token it counts while that device holds a lease."""

    device_id: int
    place: Place
    task_id: int
    lease_token: str | None


@dataclass(frozen=True, slots=True)
class Completion(Report):
    status: Literal["done", "failed"]
    result: Any

    @property
    def digest(self) -> str:
        """The same for the same report, whenever it is sent."""
        said = json.dumps([self.status, self.result, self.lease_token], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Progressed(Report):
    percent: float | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Extension(Report):
    """`lease_s` None: as long as before."""

    lease_s: int | None


Answer = TaskCompleted | LeaseHeld


async def take(session: AsyncSession, reports: Sequence[Report], now: datetime) -> list[Answer | RoostError]:
    """An answer for each report, in order: the second of two equal ones finds the first one done."""
    record = Record(now)
    wanted = select(Task).where(Task.id.in_({report.task_id for report in reports})).options(defer(Task.payload))
    locked = await session.scalars(wanted.order_by(Task.id).with_for_update())
    tasks = {task.id: task for task in locked}
    answers: list[Answer | RoostError] = []
    # What was answered in this very group, and is not in the database yet.
    said_now: dict[tuple[int, str], TaskCompleted] = {}
    for report in reports:
        task = tasks.get(report.task_id)
        if task is None or task.device_id != report.device_id:
            answers.append(NotFound(f"This device has no task {report.task_id}.", code="task_not_found"))
            continue
        refusal = _refusal(task, report, now)
        if refusal is not None:
            known = said_now.get((report.task_id, digest_of(report))) or await _answered_before(session, report)
            answers.append(known or refusal)
            continue
        answer = _note(record, task, report)
        answers.append(answer)
        if isinstance(answer, TaskCompleted):
            said_now[report.task_id, digest_of(report)] = answer
        if not isinstance(report, Extension):
            record.tell(task, report.place)
    await record.write(session)
    return answers


def _refusal(task: Task, report: Report, now: datetime) -> Conflict | None:
    """Why the report does not count; None when it does."""
    if task.status == "cancelled":
        return Conflict(f"Task {task.id} was cancelled; stop working on it.", code="task_cancelled")
    if task.status in ENDED:
        return Conflict(f"Task {task.id} has ended: it is {task.status}.", code="task_ended")
    held = task.status == "leased" and task.lease_expires_at is not None and task.lease_expires_at > now
    given = report.lease_token
    right = given is None or compare_digest(given.encode(), (task.lease_token or "").encode())
    if held and right:
        return None
    why = "its lease has run out" if not held else "the lease token is that of another attempt"
    return Conflict(f"Task {task.id} is not yours to report on: {why}. Poll for it again.", code="lease_lost")


async def _answered_before(session: AsyncSession, report: Report) -> TaskCompleted | None:
    """The first answer, when this very report was taken before."""
    if not isinstance(report, Completion):
        return None
    query = select(TaskStep).where(TaskStep.task_id == report.task_id, TaskStep.digest == report.digest)
    step = await session.scalar(query.order_by(TaskStep.id.desc()).limit(1))
    if step is None:
        return None
    reason = None if step.status == "done" else step.detail
    return TaskCompleted(
        id=step.task_id, status=step.status, attempt=step.attempt, retry_at=step.retry_at, reason=reason, at=step.at
    )


def digest_of(report: Report) -> str:
    """The digest of a completion; of other reports, which may be repeated, there is none."""
    return report.digest if isinstance(report, Completion) else ""


def _note(record: Record, task: Task, report: Report) -> Answer:
    now = record.now
    if isinstance(report, Completion):
        return _complete(record, task, report)
    if isinstance(report, Progressed):
        task.progress_at = now
        task.progress_percent = task.progress_percent if report.percent is None else report.percent
        task.progress_note = task.progress_note if report.note is None else report.note
    if isinstance(report, Extension) and report.lease_s is not None:
        task.lease_s = clamped_lease_s(report.lease_s)
    assert task.lease_s is not None  # noqa: S101 - it is leased
    task.lease_expires_at, task.updated_at = now + timedelta(seconds=task.lease_s), now
    return LeaseHeld(id=task.id, lease_seconds=task.lease_s, lease_expires_at=task.lease_expires_at)


def _complete(record: Record, task: Task, report: Completion) -> TaskCompleted:
    now = record.now
    status = "done" if report.status == "done" else after_failure(task.attempts, task.max_attempts)
    check_transition(task.status, status)
    reason = retry_at = None
    if report.status == "failed":
        reason = _reason(report.result)
    if status == "queued":
        retry_at = task.available_at = now + back_off(task.attempts)
    else:
        task.ended_at = now
    task.status, task.reason, task.result, task.updated_at = status, reason, report.result, now
    task.lease_token = task.lease_expires_at = None
    record.step(task, reason or "The device has done it.", digest=report.digest, retry_at=retry_at)
    return TaskCompleted(id=task.id, status=status, attempt=task.attempts, retry_at=retry_at, reason=reason, at=now)


def _reason(result: Any) -> str:
    """Why it failed in the device's own words, where it has any."""
    said = result
    if isinstance(result, dict):
        said = next((result[name] for name in _SAID_IN if isinstance(result.get(name), str)), None)
    text = said.replace("\x00", "").strip() if isinstance(said, str) else ""
    return text[:_LONGEST_REASON] or "The device says that it failed, and not why."
