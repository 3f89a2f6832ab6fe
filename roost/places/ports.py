"""What this room needs from the one above it; `rooms.py` puts the answers into `app.state`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession


class DevicesInPlaces(Protocol):
    """Who knows which devices stand where."""

    async def count_in_homes(self, session: AsyncSession, home_ids: Iterable[int]) -> dict[int, int]:
        """How many devices stand in each of these homes; homes without one may be missing."""
        ...

    async def count_in_rooms(self, session: AsyncSession, room_ids: Iterable[int]) -> dict[int, int]:
        """How many devices stand in each of these rooms; rooms without one may be missing."""
        ...

    async def leave_home(self, session: AsyncSession, home_id: int, now: datetime) -> int:
        """Take every device out of the home (and its rooms), so that it can go; returns how many there were."""
        ...

    async def leave_room(self, session: AsyncSession, room_id: int, now: datetime) -> int:
        """Take every device out of the room; they stay in its home. Returns how many there were."""
        ...
