"""Tables of tasks. Everything goes with its device."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, BigId, UtcDateTime
from roost.devices.models import Device
from roost.tasks.states import Status

_QUEUED = text("status = 'queued'")
_LEASED = text("status = 'leased'")
_EXPIRING = text("status = 'queued' AND expires_at IS NOT NULL")
_ENDED = text("ended_at IS NOT NULL")


class TaskContext(Base):
    """A part of a device that takes tasks, and what it can do. `types` None: tasks of every type."""

    __tablename__ = "task_contexts"

    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True)
    context_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    types: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    capabilities: Mapped[dict[str, Any]] = mapped_column(JSON)
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TaskBulk(Base):
    """One task for many devices. `skipped` has those that got none, and why; it goes with the last of its tasks."""

    __tablename__ = "task_bulks"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    type: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    skipped: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    created_by: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Task(Base):
    """One piece of work for one device.

    The lease token tells one attempt from the next; it is no credential, since it counts only together with the
    device's own, and it is kept as it is so that a device that comes back hears it once more.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_waiting", "device_id", "rank", "id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
        Index("ix_tasks_available_at", "available_at", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
        Index("ix_tasks_expires_at", "expires_at", sqlite_where=_EXPIRING, postgresql_where=_EXPIRING),
        Index("ix_tasks_lease_expires_at", "lease_expires_at", sqlite_where=_LEASED, postgresql_where=_LEASED),
        Index("ix_tasks_held", "device_id", "lease_expires_at", sqlite_where=_LEASED, postgresql_where=_LEASED),
        Index("ix_tasks_ended_at", "ended_at", sqlite_where=_ENDED, postgresql_where=_ENDED),
        Index("ix_tasks_device_id_id", "device_id", "id"),
        Index("ix_tasks_bulk_id_status", "bulk_id", "status"),
        UniqueConstraint("device_id", "idempotency_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    bulk_id: Mapped[int | None] = mapped_column(ForeignKey(TaskBulk.id, ondelete="SET NULL"))
    type: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    context_key: Mapped[str | None] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(128))
    # Minus the priority, so that one plain index gives the order.
    rank: Mapped[int] = mapped_column(SmallInteger, default=0)
    max_attempts: Mapped[int | None] = mapped_column(SmallInteger)
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status: Mapped[Status] = mapped_column(String(16), default="queued")
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    # From when it may be leased: `not_before`, and later what a failure has put off.
    available_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_s: Mapped[int | None] = mapped_column(SmallInteger)
    lease_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    leased_by: Mapped[str | None] = mapped_column(String(64))
    leased_via: Mapped[str | None] = mapped_column(String(8))
    progress_percent: Mapped[float | None] = mapped_column()
    progress_note: Mapped[str | None] = mapped_column(String(500))
    progress_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    reason: Mapped[str | None] = mapped_column(String(500))
    created_by: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def priority(self) -> int:
        return -self.rank


class TaskStep(Base):
    """What happened to a task, in words. `digest` is that of the device's report, so that a repeat is recognized."""

    __tablename__ = "task_steps"
    __table_args__ = (
        Index("ix_task_steps_task_id_id", "task_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[Status] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(SmallInteger)
    detail: Mapped[str] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(64))
    retry_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
