"""Tells Home Assistant, through a bridge's broker, which devices there are, what they measured last and who is there.

Everything is retained, so that whoever comes later knows it at once; and everything that was announced is written
down, so that it can be taken back after a restart, too.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from roost.bridges.book import BridgeBook
from roost.bridges.broker_topics import availability_topic, birth_topic, config_topic, presence_topic, state_topic
from roost.bridges.config import BridgeConfig
from roost.bridges.discovery import config_payload, state_payload
from roost.core.bus import Bus
from roost.devices.messages import DEVICE_EVENTS, STATUS_CHANGED
from roost.devices.models import Device
from roost.devices.presence import Presence
from roost.telemetry.messages import Committed, Value
from roost.telemetry.queries import TelemetryStore

MOST_DEVICES = 2_000
_RECENT = 20
_ONLINE, _OFFLINE = b"online", b"offline"


class Keeps(Protocol):
    """The broker: `roost.bridges.broker.Broker`."""

    async def keep(self, topic: str, payload: bytes) -> None: ...

    async def listen(self, topic_filter: str) -> None: ...


class _Told:
    """What is known of a device that is announced."""

    __slots__ = ("units", "values")

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.units: dict[str, str] = {}


class Announcer:
    """One bridge's announcements. Devices that were heard through the bridge are known at that broker already."""

    def __init__(
        self,
        config: BridgeConfig,
        *,
        book: BridgeBook,
        store: TelemetryStore,
        presence: Presence,
        bus: Bus,
        subscribe: Callable[[Callable[[list[Committed]], None]], Callable[[], None]],
        public_url: str | None,
    ) -> None:
        """`subscribe(listener)` hands over what was committed and returns how to end that."""
        self._config = config
        self._prefix = config.discovery_prefix or ""
        self._book = book
        self._store = store
        self._presence = presence
        self._bus = bus
        self._subscribe = subscribe
        self._public_url = public_url
        self._told: dict[int, _Told] = {}
        self._foreign: AbstractSet[int] = frozenset()
        self._devices_due: set[int] = set()
        self._states_due: set[int] = set()
        self._presence_due: dict[int, str] = {}
        self._work = asyncio.Event()
        self._finishing = False

    # What the link hands over.

    def begin(self, heard: AbstractSet[int]) -> None:
        """A new connection; `heard` are devices that are not announced, and goes on growing."""
        self._foreign = heard
        self._finishing = False
        self._told.clear()

    @property
    def filters(self) -> list[str]:
        """What is subscribed to for it."""
        return [] if self._config.discovery_prefix is None else [birth_topic(self._prefix)]

    def is_ours(self, topic: str) -> bool:
        """Whether a message is one of Home Assistant's to us, or our own that came back."""
        client_id, prefix = self._config.client_id, self._config.discovery_prefix
        if topic.startswith(f"{client_id}/"):
            return True
        return prefix is not None and (
            topic == birth_topic(self._prefix) or topic.startswith(f"{prefix}/device/{client_id}-")
        )

    def heard(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """A message that `is_ours`: Home Assistant says that it is there, and has forgotten what was not retained."""
        if topic == birth_topic(self._prefix) and payload == _ONLINE and not retained:
            self._devices_due.update(self._told)
            self._work.set()

    def is_known(self, device_id: int) -> None:
        """The device was heard through the bridge: it is one of that broker's own."""
        self._devices_due.add(device_id)
        self._work.set()

    def finish(self) -> None:
        """Say that the hub goes, and end."""
        self._finishing = True
        self._work.set()

    # The work itself.

    async def run(self, broker: Keeps) -> None:
        """Announce all there is, then what changes, until `finish`. Raises what the broker and the database say."""
        endings = [self._bus.subscribe("device.", self._on_device), self._subscribe(self._on_committed)]
        try:
            await broker.listen(birth_topic(self._prefix))
            await broker.keep(availability_topic(self._config.client_id), _ONLINE)
            await self._take_stock(broker)
            while not self._finishing:
                await self._work.wait()
                self._work.clear()
                await self._catch_up(broker)
            await broker.keep(availability_topic(self._config.client_id), _OFFLINE)
        finally:
            for ending in endings:
                ending()

    async def take_back_all(self, broker: Keeps) -> None:
        """Nothing of this bridge is announced any more."""
        announced = dict.fromkeys(self._told, self._prefix) | await self._book.list_announced(self._config.id)
        for device_id, prefix in announced.items():
            await self._take_back(broker, device_id, prefix)
        if announced or self._config.discovery_prefix is not None:
            await broker.keep(availability_topic(self._config.client_id), b"")

    async def _take_stock(self, broker: Keeps) -> None:
        devices = await self._book.list_devices(self._config, MOST_DEVICES)
        wanted = {device.id for device in devices} - self._foreign
        for device_id, prefix in (await self._book.list_announced(self._config.id)).items():
            if device_id not in wanted or prefix != self._prefix:
                await self._take_back(broker, device_id, prefix)
        for device in devices:
            if self._finishing:
                return
            if device.id in wanted:
                await self._announce(broker, device)

    async def _catch_up(self, broker: Keeps) -> None:
        while self._devices_due and not self._finishing:
            device_id = self._devices_due.pop()
            device = await self._book.find_device(self._config, device_id)
            if device is None or device_id in self._foreign:
                await self._withdraw(broker, device_id)
            elif device_id in self._told or len(self._told) < MOST_DEVICES:
                await self._announce(broker, device)
        while self._presence_due and not self._finishing:
            device_id, status = self._presence_due.popitem()
            await self._tell_presence(broker, device_id, status)
        while self._states_due and not self._finishing:
            device_id = self._states_due.pop()
            if device_id in self._told:
                await self._tell_state(broker, device_id)

    async def _announce(self, broker: Keeps, device: Device) -> None:
        told = self._told.get(device.id)
        if told is None:
            # Known from now on: what arrives while the log is read is newer than what is read.
            told = self._told[device.id] = _Told()
            for row in await self._store.recent([device.id], _RECENT):
                told.values = {**row.readings(), **told.values}
                told.units = {**row.units_by_key(), **told.units}
            await self._book.note_announced(self._config.id, device.id, self._prefix)
        client_id = self._config.client_id
        payload = config_payload(client_id, device, told.values, told.units, self._public_url)
        await broker.keep(config_topic(self._prefix, client_id, device.id), payload)
        await self._tell_state(broker, device.id)
        status = self._presence_due.pop(device.id, None) or self._presence.view_of(device).status
        await self._tell_presence(broker, device.id, status)

    async def _tell_state(self, broker: Keeps, device_id: int) -> None:
        self._states_due.discard(device_id)
        values = self._told[device_id].values
        if values:
            await broker.keep(state_topic(self._config.client_id, device_id), state_payload(values))

    async def _tell_presence(self, broker: Keeps, device_id: int, status: str) -> None:
        if device_id in self._told:
            topic = presence_topic(self._config.client_id, device_id)
            await broker.keep(topic, _OFFLINE if status == "offline" else _ONLINE)

    async def _withdraw(self, broker: Keeps, device_id: int) -> None:
        if self._told.pop(device_id, None) is not None:
            await self._take_back(broker, device_id, self._prefix)

    async def _take_back(self, broker: Keeps, device_id: int, prefix: str) -> None:
        client_id = self._config.client_id
        await broker.keep(config_topic(prefix, client_id, device_id), b"")
        await broker.keep(state_topic(client_id, device_id), b"")
        await broker.keep(presence_topic(client_id, device_id), b"")
        await self._book.note_announced(self._config.id, device_id, None)

    # What changes.

    def _on_device(self, subject: str, message: dict[str, Any]) -> None:
        device_id = message["device_id"]
        if subject == STATUS_CHANGED:
            if device_id in self._told:
                # As the event says: another process may be the one that knows the device.
                self._presence_due[device_id] = message["status"]
                self._work.set()
        elif subject in DEVICE_EVENTS and (
            device_id in self._told or message["organization_id"] == self._config.organization_id
        ):
            self._devices_due.add(device_id)
            self._work.set()

    def _on_committed(self, committed: list[Committed]) -> None:
        """On the way of every message of the hub: mostly one look-up."""
        for device, message in committed:
            told = self._told.get(device.device_id)
            if told is None or not message.readings:
                continue
            known = told.values.keys() >= message.readings.keys()
            told.values |= message.readings
            if message.units:
                told.units |= message.units
            (self._states_due if known else self._devices_due).add(device.device_id)
            self._work.set()
