"""Tables of the device registry."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from roost.access.models import Organization
from roost.core.database import Base, BigId, UtcDateTime
from roost.places.models import Home, Room

LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Device(Base):
    """One device, or what is left of it for its former owner.

    `organization_id` is empty until somebody claims the device. It stays after a release (`claimed_at` is empty
    again), because the history belongs to those who gathered it; when another organization claims the same hardware,
    this row is retired and a new one begins.
    """

    __tablename__ = "devices"
    __table_args__ = (
        Index(
            "uq_devices_active_uid",
            "device_uid",
            unique=True,
            sqlite_where=text("retired_at IS NULL"),
            postgresql_where=text("retired_at IS NULL"),
        ),
        Index("ix_devices_organization_id_id", "organization_id", "id"),
        Index("ix_devices_home_id", "home_id"),
        Index("ix_devices_room_id", "room_id"),
        Index(
            "ix_devices_unclaimed_hello_at",
            "hello_at",
            sqlite_where=text("organization_id IS NULL"),
            postgresql_where=text("organization_id IS NULL"),
        ),
        # An id is never given twice: what is left of a deleted device must not become another one's.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_uid: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(120))
    type: Mapped[str | None] = mapped_column(String(40))
    organization_id: Mapped[int | None] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Home.id, ondelete="SET NULL"))
    room_id: Mapped[int | None] = mapped_column(ForeignKey(Room.id, ondelete="SET NULL"))
    firmware_version: Mapped[str | None] = mapped_column(String(64))
    # Since when it has run this version, as far as it told.
    firmware_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    capabilities: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    pairing_key_hash: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default="offline")
    status_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status_reason: Mapped[str | None] = mapped_column(String(200))
    status_cause: Mapped[str | None] = mapped_column(String(16))
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    hello_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    tag_rows: Mapped[list["DeviceTag"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="DeviceTag.tag"
    )

    @property
    def tags(self) -> list[str]:
        return [row.tag for row in self.tag_rows]


class DeviceTag(Base):
    """A row per tag, so that both databases find devices by tag through an index."""

    __tablename__ = "device_tags"
    __table_args__ = (Index("ix_device_tags_tag", "tag"),)

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)


class DeviceToken(Base):
    """A credential, kept as its digest. `replaces` marks one that ends the others when it is first used."""

    __tablename__ = "device_tokens"
    __table_args__ = (
        Index("ix_device_tokens_device_id", "device_id"),
        Index("ix_device_tokens_expires_at", "expires_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    replaces: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PairingCode(Base):
    """The last code made for a device: a device has one, so a new start replaces the old."""

    __tablename__ = "pairing_codes"
    __table_args__ = (
        Index("ix_pairing_codes_organization_id", "organization_id"),
        Index("ix_pairing_codes_home_id", "home_id"),
        Index("ix_pairing_codes_room_id", "room_id"),
    )

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Home.id, ondelete="SET NULL"))
    room_id: Mapped[int | None] = mapped_column(ForeignKey(Room.id, ondelete="SET NULL"))
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    code_hash: Mapped[str] = mapped_column(String(64))
    wrong_tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DeviceLog(Base):
    """A line that a device wrote, or that the hub wrote about it (`source`).

    Lines end by `received_at`, the hub's clock: a device that is wrong about the year keeps its lines no longer.
    """

    __tablename__ = "device_logs"
    __table_args__ = (
        Index("ix_device_logs_device_id_id", "device_id", "id"),
        Index("ix_device_logs_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    observed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    level: Mapped[LogLevel] = mapped_column(String(8))
    source: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
