"""Which device a message of another broker belongs to."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from roost.access.audit.log import SYSTEM
from roost.bridges.book import BridgeBook, identity_of, note_bridged
from roost.bridges.config import BridgeConfig
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Conflict
from roost.devices import deeds, registry
from roost.devices.identity import DeviceIdentity
from roost.devices.messages import DEVICE_EVENTS
from roost.devices.models import Device
from roost.devices.placement import Place

# Whoever publishes on the broker decides on names: without an end they would fill the hub with devices.
MOST_REGISTERED = 1_000
_KEPT = 10_000


class NoDevice(Exception):  # noqa: N818 - it reads as what it says
    """Nobody goes by this uid, and the sentence says what can be done."""


class HeardDevices:
    """Uids to devices for one bridge, from memory until something changes. Errors of the database pass through."""

    def __init__(self, config: BridgeConfig, database: Database, book: BridgeBook, clock: Clock, bus: Bus) -> None:
        self._config = config
        self._database = database
        self._book = book
        self._clock = clock
        self._known: dict[str, DeviceIdentity | NoDevice] = {}
        self._epoch = 0
        self.heard: set[int] = set()
        """Devices that were heard through the bridge."""
        self.on_heard: Callable[[int], None] = lambda _: None
        """Called with a device that was heard for the first time."""
        self.stop: Callable[[], None] = bus.subscribe("device.", self._on_event)

    async def start(self) -> None:
        """Read who was heard before."""
        self.heard = await self._book.list_heard(self._config.id)

    async def find(self, device_uid: str) -> DeviceIdentity:
        """The device, registered now if the bridge may. Raises NoDevice."""
        found = self._known.get(device_uid)
        if found is None:
            epoch = self._epoch
            found = await self._look_up(device_uid)
            if epoch == self._epoch:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[device_uid] = found
        if isinstance(found, NoDevice):
            raise found
        return found

    def _on_event(self, subject: str, _message: dict[str, Any]) -> None:
        if subject in DEVICE_EVENTS:
            self._epoch += 1
            self._known.clear()

    async def _look_up(self, device_uid: str) -> DeviceIdentity | NoDevice:
        device = await self._find(device_uid)
        if device is None and self._config.register_devices:
            if len(self.heard) >= MOST_REGISTERED:
                return NoDevice(
                    f"A bridge registers at most {MOST_REGISTERED} devices; {device_uid!r} would be one more."
                )
            device = await self._register(device_uid)
        identity = None if device is None else identity_of(device)
        if identity is None:
            return NoDevice(
                f"No device of yours goes by {device_uid!r}: register it, or let the bridge register what it hears."
            )
        if not self._config.reaches(identity.organization_id, identity.home_id):
            return NoDevice(f"The device {device_uid!r} stands in another home than the bridge's.")
        if identity.device_id not in self.heard:
            async with self._database.write() as session:
                await note_bridged(session, self._config.id, identity.device_id, heard=True)
            self.heard.add(identity.device_id)
            self.on_heard(identity.device_id)
        return identity

    async def _find(self, device_uid: str) -> Device | None:
        query = select(Device).where(
            Device.device_uid == device_uid, Device.organization_id == self._config.organization_id,
            Device.claimed_at.is_not(None), Device.retired_at.is_(None),
        )  # fmt: skip
        async with self._database.read() as session:
            return await session.scalar(query)

    async def _register(self, device_uid: str) -> Device | None:
        """The new device; None when another organization has one of that name, or one waits to be paired."""
        place = Place(self._config.organization_id, self._config.home_id, None)
        try:
            async with self._database.write() as session:
                # The token that it gets is shown to nobody: its messages come through the bridge.
                device, _ = await registry.register(session, self._clock, place, name=device_uid, device_uid=device_uid)
                deeds.record_deed(session, deeds.REGISTERED, SYSTEM, device, bridge=self._config.name)
        except Conflict:
            return None
        return device
