"""Policies of retention."""

import json
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from roost.access.models import Organization
from roost.core.database import Base, BigId, UtcDateTime


class RetentionPolicy(Base):
    """For how many days (None: for ever) something is kept. An empty column stands for all there is of it.

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
    place: Mapped[str] = mapped_column(String(2048), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


def place_of(organization_id: int | None, device_type: str | None, key_pattern: str | None) -> str:
    """The same for two policies only if they are about the same."""
    return json.dumps([organization_id, device_type, key_pattern])
