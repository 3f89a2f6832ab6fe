"""What this room needs from those above it; `rooms.py` puts the answers into `app.state.belongings`."""

from collections.abc import Iterable
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession


class Belongings(Protocol):
    """Who knows what an organization has: homes and devices."""

    async def homes_among(self, session: AsyncSession, organization_id: int, home_ids: Iterable[int]) -> set[int]:
        """Those of these ids that are homes of the organization."""
        ...

    async def has_devices(self, session: AsyncSession, organization_id: int) -> bool:
        """Whether any device belongs to it, or history of one."""
        ...

    async def clear(self, session: AsyncSession, organization_id: int) -> int:
        """Delete its devices with everything they sent; returns how many there were."""
        ...
