"""Tasks as they are answered with, in the queue's words and in those of commands."""

from roost.tasks.models import Task, TaskStep
from roost.tasks.schemas import CommandRead, LeasedCommand, LeasedTask, TaskRead, TaskStepRead, progress_of


def task_read(task: Task) -> TaskRead:
    """For users."""
    return TaskRead(
        id=task.id,
        device_id=task.device_id,
        type=task.type,
        payload=task.payload,
        status=task.status,
        execution_context_key=task.context_key,
        idempotency_key=task.idempotency_key,
        priority=task.priority,
        not_before=task.not_before,
        expires_at=task.expires_at,
        max_attempts=task.max_attempts,
        attempts=task.attempts,
        available_at=task.available_at,
        leased_by=task.leased_by,
        leased_via=task.leased_via,
        lease_expires_at=task.lease_expires_at,
        progress=progress_of(task.progress_percent, task.progress_note, task.progress_at),
        result=task.result,
        reason=task.reason,
        bulk_id=task.bulk_id,
        created_by=task.created_by,
        created_at=task.created_at,
        updated_at=task.updated_at,
        ended_at=task.ended_at,
    )


def first_step(task: Task) -> TaskStepRead:
    """How it began, of which no row is kept."""
    detail = f"Ordered by {task.created_by}." if task.created_by else "Ordered by the hub."
    return TaskStepRead(at=task.created_at, status="queued", attempt=0, detail=detail)


def step_read(step: TaskStep) -> TaskStepRead:
    """What happened to a task."""
    return TaskStepRead(at=step.at, status=step.status, attempt=step.attempt, detail=step.detail)


def command_read(task: Task) -> CommandRead:
    """For users who speak of commands."""
    return CommandRead(
        id=task.id,
        device_id=task.device_id,
        command=task.type,
        parameters=task.payload,
        status=task.status,
        attempts=task.attempts,
        result=task.result,
        reason=task.reason,
        created_at=task.created_at,
        updated_at=task.updated_at,
        ended_at=task.ended_at,
    )


def leased_command(task: LeasedTask) -> LeasedCommand:
    """For devices that speak of commands."""
    return LeasedCommand(
        id=task.id,
        command=task.type,
        parameters=task.payload,
        attempt=task.attempt,
        lease_token=task.lease_token,
        lease_seconds=task.lease_seconds,
        lease_expires_at=task.lease_expires_at,
        created_at=task.created_at,
    )
