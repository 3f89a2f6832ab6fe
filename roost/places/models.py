"""Tables of places."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Date, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, BigId, UtcDateTime


class Home(Base):
    """A place of an organization in which devices stand."""

    __tablename__ = "homes"
    __table_args__ = (Index("ix_homes_organization_id", "organization_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(120))
    address: Mapped[str | None] = mapped_column(String(255))
    timezone: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Room(Base):
    """A room of a home; `name_key` is the spelling that has to be unique in it."""

    __tablename__ = "rooms"
    __table_args__ = (UniqueConstraint("home_id", "name_key"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    home_id: Mapped[int] = mapped_column(ForeignKey(Home.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(String(512))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Resident(Base):
    """Somebody who lives in a home and a room of it. `audio_consent_at` says when consent was given or taken back."""

    __tablename__ = "residents"
    __table_args__ = (
        Index("ix_residents_home_id", "home_id"),
        Index("ix_residents_room_id", "room_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    home_id: Mapped[int] = mapped_column(ForeignKey(Home.id, ondelete="CASCADE"))
    room_id: Mapped[int | None] = mapped_column(ForeignKey(Room.id, ondelete="SET NULL"))
    full_name: Mapped[str] = mapped_column(String(120))
    preferred_name: Mapped[str | None] = mapped_column(String(120))
    date_of_birth: Mapped[date | None] = mapped_column(Date)
    notes: Mapped[str | None] = mapped_column(Text)
    contacts: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    audio_consent: Mapped[bool] = mapped_column(Boolean, default=False)
    audio_consent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    audio_consent_by: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ResidentEvent(Base):
    """A line of a resident's timeline: written by people (`note`), or by the hub about what changed."""

    __tablename__ = "resident_events"
    __table_args__ = (
        Index("ix_resident_events_resident_id_occurred_at", "resident_id", "occurred_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    resident_id: Mapped[int] = mapped_column(ForeignKey(Resident.id, ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    author_id: Mapped[int | None] = mapped_column(BigId)
    author_name: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
