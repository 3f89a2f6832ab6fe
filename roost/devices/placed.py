"""Which devices stand where, for the room below that knows homes and rooms but no devices."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from roost.core import outbox
from roost.devices.messages import UPDATED, device_event
from roost.devices.models import Device


class PlacedDevices:
    """Counts devices in places, and takes them out of those that go."""

    async def count_in_homes(self, session: AsyncSession, home_ids: Iterable[int]) -> dict[int, int]:
        """How many devices stand in each of these homes; homes without one are missing."""
        return await _count(session, Device.home_id, home_ids)

    async def count_in_rooms(self, session: AsyncSession, room_ids: Iterable[int]) -> dict[int, int]:
        """How many devices stand in each of these rooms; rooms without one are missing."""
        return await _count(session, Device.room_id, room_ids)

    async def leave_home(self, session: AsyncSession, home_id: int, now: datetime) -> int:
        """Take every device out of the home; returns how many there were."""
        return await _leave(session, Device.home_id == home_id, now, home_id=None, room_id=None)

    async def leave_room(self, session: AsyncSession, room_id: int, now: datetime) -> int:
        """Take every device out of the room; returns how many there were."""
        return await _leave(session, Device.room_id == room_id, now, room_id=None)


async def _count(
    session: AsyncSession, column: InstrumentedAttribute[int | None], ids: Iterable[int]
) -> dict[int, int]:
    # The same devices as in the list with the same filter: claimed once, by whoever.
    query = select(column, func.count()).where(column.in_(sorted(set(ids))), Device.organization_id.is_not(None))
    rows = await session.execute(query.group_by(column))
    return {place_id: count for place_id, count in rows if place_id is not None}


async def _leave(session: AsyncSession, there: ColumnElement[bool], now: datetime, **place: None) -> int:
    change = update(Device).where(there).values(updated_at=now, **place)
    moved = (await session.execute(change.returning(Device.id, Device.organization_id))).all()
    # What is remembered of a device (who may see it, above all) no longer holds.
    for device_id, organization_id in moved:
        outbox.add(session, UPDATED, device_event(device_id, organization_id))
    return len(moved)
