"""Tables of the shadow."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, BigId, UtcDateTime
from roost.devices.models import Device


class ShadowRow(Base):
    """Both sides of one device's shadow; a device without a row has said and been told nothing."""

    __tablename__ = "device_shadows"

    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True)
    desired: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    desired_version: Mapped[int] = mapped_column(BigId, default=0)
    desired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reported: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    reported_version: Mapped[int] = mapped_column(BigId, default=0)
    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ShadowChange(Base):
    """One change of one side: `patch` (RFC 7396) leads from the version before to this one."""

    __tablename__ = "device_shadow_changes"
    __table_args__ = (
        Index("uq_device_shadow_changes_version", "device_id", "side", "version", unique=True),
        Index("ix_device_shadow_changes_device_id_id", "device_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    side: Mapped[str] = mapped_column(String(8))
    version: Mapped[int] = mapped_column(BigId)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None] = mapped_column(BigId)
    actor_name: Mapped[str | None] = mapped_column(String(255))
    patch: Mapped[dict[str, Any]] = mapped_column(JSON)
