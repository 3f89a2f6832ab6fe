"""Device tokens: made, rotated, ended."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.core.ids import new_token, token_digest
from roost.devices.identities import TOKEN_PREFIX
from roost.devices.messages import TOKEN_REVOKED, UPDATED, device_event
from roost.devices.models import Device, DeviceToken

OVERLAP = timedelta(minutes=10)


async def issue(session: AsyncSession, device_id: int, now: datetime, *, replaces: bool = False) -> str:
    """A new token for the device; what is stored is its digest. `replaces`: its first use ends those before it."""
    token = new_token(TOKEN_PREFIX)
    session.add(DeviceToken(device_id=device_id, digest=token_digest(token), replaces=replaces, created_at=now))
    await session.flush()
    return token


async def rotate(session: AsyncSession, device: Device, now: datetime) -> tuple[str, datetime | None]:
    """A new token, and until when the ones before it are good as well (None = there were none)."""
    until = now + OVERLAP
    mine = DeviceToken.device_id == device.id
    standing = (DeviceToken.expires_at.is_(None)) | (DeviceToken.expires_at > until)
    await session.execute(update(DeviceToken).where(mine, standing).values(expires_at=until))
    last = await session.scalar(select(func.max(DeviceToken.expires_at)).where(mine, DeviceToken.expires_at > now))
    token = await issue(session, device.id, now, replaces=last is not None)
    # Whoever remembers the old token has to hear of its end.
    outbox.add(session, UPDATED, device_event(device.id, device.organization_id))
    return token, last


async def revoke(session: AsyncSession, device: Device) -> None:
    """No token of the device is good any more, from this commit on."""
    await session.execute(delete(DeviceToken).where(DeviceToken.device_id == device.id))
    outbox.add(session, TOKEN_REVOKED, device_event(device.id, device.organization_id))


async def end_expired(session: AsyncSession, now: datetime) -> None:
    """Clear away tokens whose overlap is over; connections that still stand on them are cut by the event."""
    expired = delete(DeviceToken).where(DeviceToken.expires_at <= now).returning(DeviceToken.device_id)
    device_ids = set((await session.scalars(expired)).all())
    if device_ids:
        owners = select(Device.id, Device.organization_id).where(Device.id.in_(device_ids))
        for device_id, organization_id in (await session.execute(owners)).all():
            outbox.add(session, TOKEN_REVOKED, device_event(device_id, organization_id))
