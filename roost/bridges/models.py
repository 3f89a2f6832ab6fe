"""Tables of bridges to other brokers."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from roost.access.models import Organization
from roost.core.database import Base, BigId, UtcDateTime
from roost.places.models import Home


class Bridge(Base):
    """A broker of an organization's, and what is to be taken from it and told to it.

    `client_id` is the name of the session that the broker keeps for the hub; another would get none of what has
    gathered there. `stale_filters` are subscriptions of that session that nobody wants any more. `farewell_due`: the
    broker still has subscriptions and announcements of ours that are to go; with `ended_at` the row goes with them.
    `held_by` and `held_until` say which of several processes speaks with the broker.
    """

    __tablename__ = "bridges"
    __table_args__ = (
        Index("ix_bridges_organization_id_id", "organization_id", "id"),
        Index("ix_bridges_home_id", "home_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
    # With its home it goes: without one it would be about all homes.
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Home.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(8))
    user_name: Mapped[str | None] = mapped_column(String(255))
    sealed_password: Mapped[str | None] = mapped_column(Text)
    ca_certificate: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[str] = mapped_column(String(64))
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    register_devices: Mapped[bool]
    discovery_prefix: Mapped[str | None] = mapped_column(String(120))
    enabled: Mapped[bool]
    stale_filters: Mapped[list[str]] = mapped_column(JSON)
    farewell_due: Mapped[bool] = mapped_column(default=False)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(16))
    status_reason: Mapped[str | None] = mapped_column(String(300))
    status_since: Mapped[datetime] = mapped_column(UtcDateTime)
    problem: Mapped[str | None] = mapped_column(String(500))
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_by: Mapped[str | None] = mapped_column(String(32))
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BridgedDevice(Base):
    """A device that was heard through a bridge, or announced through it under a prefix.

    `device_id` refers to nothing: what was announced is taken back after the device is gone.
    """

    __tablename__ = "bridge_devices"

    bridge_id: Mapped[int] = mapped_column(ForeignKey(Bridge.id, ondelete="CASCADE"), primary_key=True)
    device_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    heard: Mapped[bool] = mapped_column(default=False)
    announced_under: Mapped[str | None] = mapped_column(String(120))
