"""Who writes the archive, and how far it has come."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from roost.core.database import Base, UtcDateTime

THE_ONE = 1


class ArchiveState(Base):
    """One row. Every month before `complete_before_ms` is in the archive, with all messages up to `through_id`.

    Of those up to `seen_id` that is so but for messages whose commit was under way at `seen_at`. Whoever is `writer`
    may write until `leased_until`; then another one may.
    """

    __tablename__ = "archive_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    through_id: Mapped[int] = mapped_column(BigInteger)
    seen_id: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    complete_before_ms: Mapped[int] = mapped_column(BigInteger)
    writer: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
