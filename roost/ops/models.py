"""What operations remember."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, String
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, UtcDateTime


class HostRegistration(Base):
    """A machine that has registered itself as a device once: whoever deletes that device means it."""

    __tablename__ = "host_registrations"

    device_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)


class HomeMessages(Base):
    """How many messages the devices of a home sent on a day (UTC). A plain id: what was counted outlives the home."""

    __tablename__ = "home_messages"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    home_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    messages: Mapped[int] = mapped_column(BigInteger)


class StorageSample(Base):
    """What database and telemetry took up on a day (UTC)."""

    __tablename__ = "storage_samples"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    bytes: Mapped[int] = mapped_column(BigInteger)
