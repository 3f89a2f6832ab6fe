"""Gathers what is known of a device and judges it."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.health.facts import DeviceTelemetry, Facts
from roost.devices.models import Device, DeviceLog
from roost.devices.presence import Presence

_DAY = timedelta(days=1)
_MOST_VERSIONS = 100


class HealthFacts:
    """Asks the rooms that know something."""

    def __init__(self, database: Database, clock: Clock, presence: Presence, telemetry: DeviceTelemetry) -> None:
        self._database = database
        self._clock = clock
        self._presence = presence
        self._telemetry = telemetry

    async def gather(self, device: Device) -> Facts:
        """What is known at this moment."""
        now = self._clock.now()
        async with self._database.read() as session:
            errors, refusals = await _count_lines(session, device.id, now - _DAY)
            peers = await _count_versions(session, device)
        return Facts(
            now=now,
            presence=self._presence.view_of(device),
            telemetry=await self._telemetry.facts(device.id),
            errors=errors,
            refusals=refusals,
            firmware_version=device.firmware_version,
            firmware_at=device.firmware_at,
            peers=peers,
        )


async def _count_lines(session: AsyncSession, device_id: int, since: datetime) -> tuple[int, int]:
    query = select(DeviceLog.source, DeviceLog.level, func.count()).group_by(DeviceLog.source, DeviceLog.level)
    rows = await session.execute(query.where(DeviceLog.device_id == device_id, DeviceLog.received_at >= since))
    errors = refusals = 0
    for source, level, count in rows:
        if level in {"error", "critical"}:
            errors += count
        elif source == "hub" and level == "warning":
            refusals += count
    return errors, refusals


async def _count_versions(session: AsyncSession, device: Device) -> dict[str, int]:
    if device.type is None:
        return {}
    query = (
        select(Device.firmware_version, func.count())
        .where(
            Device.organization_id == device.organization_id,
            Device.type == device.type,
            Device.id != device.id,
            Device.claimed_at.is_not(None),
            Device.retired_at.is_(None),
            Device.firmware_version.is_not(None),
        )
        .group_by(Device.firmware_version)
        .limit(_MOST_VERSIONS)
    )
    return {version: count for version, count in await session.execute(query) if version is not None}
