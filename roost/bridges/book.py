"""What bridges that run read and write in the database."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from roost.bridges.config import BridgeConfig
from roost.bridges.models import Bridge, BridgedDevice
from roost.bridges.standing import Standing
from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.identity import DeviceIdentity
from roost.devices.models import Device

# The database's own clock: those of several machines differ.
_HELD_UNTIL = text("now() + interval '30 seconds'")
_STALE = text("held_until < now()")
# A broker that is gone for good is not waited for.
FAREWELL_PATIENCE = timedelta(days=1)
LONGEST_PROBLEM = 500
LONGEST_REASON = 300


class BridgeBook:
    """All SQL of running bridges. `holder` is this process among several on one PostgreSQL; None where it is alone."""

    def __init__(self, database: Database, clock: Clock, holder: str | None) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder

    async def list_due(self) -> Sequence[BridgeConfig]:
        """Those that are for this process: enabled, or to say farewell."""
        if self._holder is not None:
            await self._hold()
        query = select(Bridge).where(or_(Bridge.enabled, Bridge.farewell_due)).order_by(Bridge.id)
        if self._holder is not None:
            query = query.where(Bridge.held_by == self._holder)
        async with self._database.read() as session:
            due = [BridgeConfig.of(row) for row in await session.scalars(query)]
        given_up = self._clock.now() - FAREWELL_PATIENCE
        for config in due:
            if config.ended_at is not None and config.ended_at < given_up:
                await self.said_farewell(config)
        return due

    async def exists(self, bridge_id: int) -> bool:
        """Whether there is still such a row: it goes with its organization and with its home."""
        async with self._database.read() as session:
            return await session.get(Bridge, bridge_id) is not None

    async def _hold(self) -> None:
        """Take what nobody holds, and keep what this process does."""
        due = or_(Bridge.enabled, Bridge.farewell_due)
        free = or_(Bridge.held_by.is_(None), Bridge.held_by == self._holder, _STALE)
        async with self._database.write() as session:
            await session.execute(
                update(Bridge).where(due, free).values(held_by=self._holder, held_until=_HELD_UNTIL),
                execution_options={"synchronize_session": False},
            )

    async def release(self) -> None:
        """Let others have what this process holds."""
        if self._holder is None:
            return
        async with self._database.write() as session:
            await session.execute(
                update(Bridge).where(Bridge.held_by == self._holder).values(held_by=None, held_until=None)
            )

    async def write_standings(self, standings: Collection[tuple[int, Standing]]) -> None:
        """How these bridges are doing."""
        async with self._database.write() as session:
            for bridge_id, standing in standings:
                change = update(Bridge).where(Bridge.id == bridge_id, Bridge.enabled)
                await session.execute(
                    change.values(
                        status=standing.status,
                        status_reason=standing.reason and standing.reason[:LONGEST_REASON],
                        status_since=standing.since,
                        problem=standing.problem and standing.problem[:LONGEST_PROBLEM],
                        problem_at=standing.problem_at,
                    )
                )

    async def cleared(self, bridge_id: int, filters: Collection[str]) -> None:
        """The broker has none of these subscriptions any more."""
        async with self._database.write() as session:
            row = await session.get(Bridge, bridge_id, with_for_update=True)
            if row is not None:
                row.stale_filters = [one for one in row.stale_filters if one not in filters]

    async def said_farewell(self, config: BridgeConfig) -> None:
        """The broker keeps nothing of this bridge any more."""
        mine = Bridge.id == config.id
        async with self._database.write() as session:
            if config.ended_at is not None:
                await session.execute(delete(Bridge).where(mine))
            else:
                # Unless it was enabled again meanwhile.
                off = update(Bridge).where(mine, Bridge.enabled.is_(False))
                await session.execute(off.values(farewell_due=False, stale_filters=[]))

    async def list_heard(self, bridge_id: int) -> set[int]:
        """Devices that were heard through the bridge."""
        query = select(BridgedDevice.device_id).where(BridgedDevice.bridge_id == bridge_id, BridgedDevice.heard)
        async with self._database.read() as session:
            return set(await session.scalars(query))

    async def list_announced(self, bridge_id: int) -> dict[int, str]:
        """Devices that were announced through the bridge, and under which prefix."""
        query = select(BridgedDevice.device_id, BridgedDevice.announced_under)
        query = query.where(BridgedDevice.bridge_id == bridge_id, BridgedDevice.announced_under.is_not(None))
        async with self._database.read() as session:
            return {device_id: prefix for device_id, prefix in await session.execute(query) if prefix is not None}

    async def note_announced(self, bridge_id: int, device_id: int, prefix: str | None) -> None:
        """It is announced under this prefix, or no longer."""
        async with self._database.write() as session:
            await note_bridged(session, bridge_id, device_id, announced_under=prefix)

    async def list_devices(self, config: BridgeConfig, limit: int) -> Sequence[Device]:
        """The devices that the bridge is about, by id."""
        query = select(Device).where(
            Device.organization_id == config.organization_id,
            Device.claimed_at.is_not(None), Device.retired_at.is_(None),
        )  # fmt: skip
        if config.home_id is not None:
            query = query.where(Device.home_id == config.home_id)
        async with self._database.read() as session:
            return (await session.scalars(query.order_by(Device.id).limit(limit))).all()

    async def find_device(self, config: BridgeConfig, device_id: int) -> Device | None:
        """The device, if the bridge is about it."""
        async with self._database.read() as session:
            device = await session.get(Device, device_id)
        there = device is not None and device.claimed_at is not None and device.retired_at is None
        if device is None or not there or not config.reaches(device.organization_id, device.home_id):
            return None
        return device


async def note_bridged(session: AsyncSession, bridge_id: int, device_id: int, **said: bool | str | None) -> None:
    """Write down what a bridge has to do with a device; `said` are columns of `BridgedDevice`."""
    if await session.get(Bridge, bridge_id) is None:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(BridgedDevice).values(bridge_id=bridge_id, device_id=device_id, **({"heard": False} | said))
    await session.execute(row.on_conflict_do_update(index_elements=["bridge_id", "device_id"], set_=said))


def identity_of(device: Device) -> DeviceIdentity | None:
    """The device as the telemetry path knows it; None for one of nobody."""
    if device.organization_id is None:
        return None
    return DeviceIdentity(device.id, device.device_uid, device.organization_id, device.home_id)
