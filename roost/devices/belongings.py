"""What an organization has, for the room below that knows organizations but neither homes nor devices."""

from collections.abc import Iterable

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.devices.messages import DELETED, device_event
from roost.devices.models import Device
from roost.places.models import Home


class HomesAndDevices:
    """Looks up and clears away what belongs to an organization."""

    async def homes_among(self, session: AsyncSession, organization_id: int, home_ids: Iterable[int]) -> set[int]:
        """Those of these ids that are homes of the organization."""
        query = select(Home.id).where(Home.organization_id == organization_id, Home.id.in_(sorted(set(home_ids))))
        return set(await session.scalars(query))

    async def has_devices(self, session: AsyncSession, organization_id: int) -> bool:
        """Whether any device belongs to it; what was released is history of its own, and counts."""
        return bool(await session.scalar(select(exists().where(Device.organization_id == organization_id))))

    async def clear(self, session: AsyncSession, organization_id: int) -> int:
        """Delete its devices, each told like any other, so that connections, caches and telemetry go with them."""
        gone = delete(Device).where(Device.organization_id == organization_id).returning(Device.id)
        device_ids = sorted(await session.scalars(gone))
        for device_id in device_ids:
            outbox.add(session, DELETED, device_event(device_id, organization_id))
        return len(device_ids)
