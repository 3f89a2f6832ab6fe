"""Policies of retention, and from when on everything is where it was sent to."""

import json
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from roost.access.models import Organization
from roost.core.database import Base, BigId, UtcDateTime
from roost.devices.models import Device


class RetentionPolicy(Base):
    """For how many days (None: for ever) something is kept. An empty column stands for all there is of it.

    With `coarse_bucket_s`, buckets of so many seconds stay for `coarse_days` more (None: for ever).

    `place` says in one value what the policy is about: there are no two about the same, and NULLs would not tell.
    """

    __tablename__ = "retention_policies"
    __table_args__ = (
        Index("ix_retention_policies_organization_id", "organization_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
    device_type: Mapped[str | None] = mapped_column(String(40))
    key_pattern: Mapped[str | None] = mapped_column(String(200))
    keep_days: Mapped[int | None]
    coarse_bucket_s: Mapped[int | None]
    coarse_days: Mapped[int | None]
    place: Mapped[str] = mapped_column(String(2048), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RetentionHorizon(Base):
    """Before which moment readings of a device may have been taken out of the log, whatever the policies are now.

    `rules` is a `Horizon` as JSON.
    """

    __tablename__ = "retention_horizons"

    device_id: Mapped[int] = mapped_column(
        BigId, ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    rules: Mapped[str] = mapped_column(Text)


def place_of(organization_id: int | None, device_type: str | None, key_pattern: str | None) -> str:
    """The same for two policies only if they are about the same."""
    return json.dumps([organization_id, device_type, key_pattern])
