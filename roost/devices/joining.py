"""Hello: how the hub hears of a device before anybody owns it."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Conflict, Forbidden, TooMany
from roost.core.rates import RateLimiter
from roost.devices.identity import DeviceIdentity
from roost.devices.messages import UPDATED, device_event
from roost.devices.models import Device
from roost.devices.repository import find_by_uid
from roost.devices.schemas import HelloIn

FORGET_AFTER = timedelta(hours=24)
UNCLAIMED_LIMIT = 20_000
# While nobody has claimed it a device asks often, since somebody may be waiting in front of it.
RETRY_UNCLAIMED_S = 10
RETRY_CLAIMED_S = 300
_NOTE_HELLO_EVERY = timedelta(minutes=1)


class Reception:
    """Takes hellos. `newcomers` limits how many devices one address can make the hub remember."""

    def __init__(self, database: Database, clock: Clock, newcomers: RateLimiter) -> None:
        self._database = database
        self._clock = clock
        self._newcomers = newcomers

    async def hello(self, said: HelloIn, address: str, identity: DeviceIdentity | None) -> Device:
        """The device as it is known after its hello.

        `identity` is who proved to be calling. Without it a claimed device is left as it is: anybody can say a name.
        Raises Forbidden for another device's uid, Conflict for another key than announced first, TooMany.
        """
        if identity is not None and identity.device_uid != said.device_uid:
            raise Forbidden(f"This token belongs to {identity.device_uid!r}, not to {said.device_uid!r}.")
        async with self._database.read() as session:
            device = await find_by_uid(session, said.device_uid)
        if device is None:
            self._newcomers.check(address, "Too many new devices from this address; try again later.")
        elif not self._says_news(device, said, identity):
            return device
        async with self._database.write() as session:
            if device is None:
                await self._add(session, said)
            device = await find_by_uid(session, said.device_uid, lock=True)
            if device is None:
                raise Conflict("The device was removed at this moment; say hello again.")
            if self._says_news(device, said, identity):
                self._note(session, device, said)
        return device

    def _says_news(self, device: Device, said: HelloIn, identity: DeviceIdentity | None) -> bool:
        news = (said.firmware_version not in {None, device.firmware_version}) or (
            said.capabilities is not None and said.capabilities != device.capabilities
        )
        if device.claimed_at is not None:
            return news and identity is not None and identity.device_id == device.id
        if device.pairing_key_hash is not None and said.pairing_key_hash != device.pairing_key_hash:
            if said.pairing_key_hash is not None:
                raise Conflict(
                    "A device with this uid announced itself with another pairing key; it is forgotten after 24 hours.",
                    code="pairing_key_mismatch",
                )
            return False
        key_is_new = said.pairing_key_hash is not None and device.pairing_key_hash is None
        stale = device.hello_at is None or self._clock.now() - device.hello_at >= _NOTE_HELLO_EVERY
        return news or key_is_new or stale

    async def _add(self, session: AsyncSession, said: HelloIn) -> None:
        unclaimed = select(func.count()).select_from(Device).where(Device.organization_id.is_(None))
        if (await session.scalar(unclaimed) or 0) >= UNCLAIMED_LIMIT:
            raise TooMany("Too many devices are waiting to be claimed; try again later.", retry_after_s=600)
        now = self._clock.now()
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        row = insert(Device).values(
            device_uid=said.device_uid,
            name=said.device_uid,
            firmware_version=said.firmware_version,
            firmware_at=now if said.firmware_version is not None else None,
            capabilities=said.capabilities or {},
            pairing_key_hash=said.pairing_key_hash,
            status="offline",
            hello_at=now,
            created_at=now,
            updated_at=now,
        )
        await session.execute(row.on_conflict_do_nothing())

    def _note(self, session: AsyncSession, device: Device, said: HelloIn) -> None:
        now = self._clock.now()
        if said.firmware_version not in {None, device.firmware_version}:
            device.firmware_version, device.firmware_at = said.firmware_version, now
        if said.capabilities is not None:
            device.capabilities = said.capabilities
        if device.claimed_at is None:
            device.hello_at = now
            device.pairing_key_hash = device.pairing_key_hash or said.pairing_key_hash
        else:
            device.updated_at = now
            outbox.add(session, UPDATED, device_event(device.id, device.organization_id))


async def forget_unclaimed(session: AsyncSession, now: datetime) -> int:
    """Drop devices that nobody claimed within a day of their last hello; returns how many."""
    stale = (Device.organization_id.is_(None)) & (Device.hello_at < now - FORGET_AFTER)
    gone = await session.execute(delete(Device).where(stale).returning(Device.id))
    return len(gone.all())
