"""What operations remember."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, UtcDateTime


class HostRegistration(Base):
    """A machine that has registered itself as a device once: whoever deletes that device means it."""

    __tablename__ = "host_registrations"

    device_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
