"""This machine as a device of its own hub: registered once, then sampled, through the path that every device takes."""

import asyncio
import logging
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import SYSTEM
from roost.access.models import GrantRow
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import RoostError
from roost.core.settings import Settings
from roost.devices import registry
from roost.devices.deeds import REGISTERED, record_deed
from roost.devices.identity import DeviceIdentity
from roost.devices.messages import DEVICE_EVENTS
from roost.devices.models import Device
from roost.devices.placement import Place
from roost.ops.host import MEBIBYTE, HostSample
from roost.ops.machine import host_name, host_uid
from roost.ops.models import HostRegistration
from roost.ops.sampling import Sampling
from roost.places.models import Home
from roost.telemetry.ingest import Ingest
from roost.telemetry.refusals import Refusal

DEVICE_TYPE = "hub"
GIGABYTE = 10**9
LONGEST_RETRY_S = 10.0
FAREWELL_S = 3.0

_log = logging.getLogger(__name__)


class HostDevice:
    """Keeps this machine's readings coming for as long as the device exists."""

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, bus: Bus, *, ingest: Ingest, sampling: Sampling
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._ingest = ingest
        self._sampling = sampling
        self._registry_changed = asyncio.Event()
        self._identity: DeviceIdentity | None = None
        self._stopping = False
        self._registering = False
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe = bus.subscribe("device.", self._on_event)

    def start(self) -> None:
        """Begin in the background; nothing else waits for it."""
        self._task = asyncio.create_task(self._run(), name="host-device")

    async def stop(self) -> None:
        """End after the sample or transaction under way; one that hangs is cut off."""
        self._unsubscribe()
        self._stopping = True
        self._registry_changed.set()
        if self._task is not None:
            _, hanging = await asyncio.wait({self._task}, timeout=FAREWELL_S)
            for task in hanging:
                task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _on_event(self, subject: str, message: dict[str, Any]) -> None:
        # Without a device of its own, any new one may be it: somebody can register this machine by hand again.
        mine = self._identity is None or message["device_id"] == self._identity.device_id
        if subject in DEVICE_EVENTS and mine and not self._registering:
            self._registry_changed.set()

    async def _run(self) -> None:
        uid = await self._sampling.run(lambda: host_uid(self._settings.data_dir))
        while not self._stopping:
            self._registry_changed.clear()
            try:
                self._identity = await self._find_or_register(uid)
            except (RoostError, SQLAlchemyError, OSError) as error:
                self._note_failure(f"This machine could not be looked up as a device: {error}")
                await self._changes_within(min(LONGEST_RETRY_S, self._settings.host_sample_interval_s))
                continue
            if self._identity is None:
                _log.info("This machine's device has been deleted; it sends nothing.")
                await self._registry_changed.wait()
            else:
                await self._sample_until_changed(self._identity)

    async def _sample_until_changed(self, identity: DeviceIdentity) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._sample(identity)
            # In step with the clock, but never twice to catch up.
            due = max(due + self._settings.host_sample_interval_s, loop.time())
            if await self._changes_within(due - loop.time()):
                return

    async def _changes_within(self, seconds: float) -> bool:
        """Wait that long; True, and at once, when the registry changes or the hub stops."""
        try:
            async with asyncio.timeout(seconds):
                return await self._registry_changed.wait()
        except TimeoutError:
            return False

    async def _sample(self, identity: DeviceIdentity) -> None:
        try:
            sample = await self._sampling.sample()
            await self._ingest.accept(identity, "readings", msgspec.json.encode({"readings": readings_of(sample)}))
        except (Refusal, RoostError, OSError) as error:
            self._note_failure(f"This machine's readings are not being stored: {error}")
        else:
            if self._failing:
                self._failing = False
                _log.info("This machine's readings are being stored again.")

    def _note_failure(self, sentence: str) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("%s", sentence)

    async def _find_or_register(self, uid: str) -> DeviceIdentity | None:
        """This machine's device; None when it was there once and has been deleted or released."""
        async with self._database.read() as session:
            found = await _find(session, uid)
            if found is not None or await session.get(HostRegistration, uid) is not None:
                return found
        self._registering = True
        try:
            return await self._register(uid)
        finally:
            self._registering = False

    async def _register(self, uid: str) -> DeviceIdentity:
        async with self._database.write() as session:
            place = await _home_of_administrator(session)
            device, _ = await registry.register(
                session, self._clock, place, name=host_name(), device_uid=uid, device_type=DEVICE_TYPE
            )
            record_deed(session, REGISTERED, SYSTEM, device)
            session.add(HostRegistration(device_uid=uid, registered_at=self._clock.now()))
            identity = DeviceIdentity(device.id, uid, place.organization_id, place.home_id)
        _log.info("This machine is now device %s (%s).", identity.device_id, uid)
        return identity


def readings_of(sample: HostSample) -> list[dict[str, Any]]:
    """A sample as the readings of a message; what this machine cannot measure is left out."""
    values: list[tuple[str, float | None, str | None]] = [
        ("cpu_percent", sample.processor.average_percent, "%"),
        ("load_1m", sample.load[0], None),
        ("memory_percent", sample.memory.percent, "%"),
        ("memory_used_mb", round(sample.memory.used / MEBIBYTE, 1), "MiB"),
        ("disk_percent", sample.disk.percent, "%"),
        ("disk_free_gb", round(sample.disk.free / GIGABYTE, 2), "GB"),
        ("temperature_c", sample.temperature_c, "°C"),
        ("uptime_h", round(sample.uptime_s / 3600, 2), "h"),
        ("roost_rss_mb", round(sample.own.rss / MEBIBYTE, 1), "MiB"),
    ]
    return [
        {"sensor_type": name, "value": value, **({"unit": unit} if unit else {})}
        for name, value, unit in values
        if value is not None
    ]


async def _find(session: AsyncSession, uid: str) -> DeviceIdentity | None:
    query = select(Device.id, Device.organization_id, Device.home_id).where(
        Device.device_uid == uid, Device.claimed_at.is_not(None), Device.retired_at.is_(None)
    )
    row = (await session.execute(query)).first()
    if row is None or row.organization_id is None:
        return None
    return DeviceIdentity(row.id, uid, row.organization_id, row.home_id)


async def _home_of_administrator(session: AsyncSession) -> Place:
    """The first home of the first administrator's own organization. Raises RoostError when there is none."""
    administrator = select(GrantRow.user_id).where(GrantRow.role == "admin").order_by(GrantRow.id).limit(1)
    organization = (
        select(GrantRow.organization_id)
        .where(GrantRow.user_id == administrator.scalar_subquery(), GrantRow.organization_id.is_not(None))
        .order_by(GrantRow.id)
        .limit(1)
    )
    organization_id = await session.scalar(organization)
    if organization_id is None:
        raise RoostError("There is no administrator with an organization yet.")
    home = select(Home.id).where(Home.organization_id == organization_id).order_by(Home.id).limit(1)
    return Place(organization_id, await session.scalar(home), None)
