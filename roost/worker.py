"""One process among several: what it tells the others and hears from them. Loaded only where `NATS_URL` is set."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack

import msgspec
from nats.aio.msg import Msg
from sqlalchemy import select

from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.nats import ENTERED_SUBJECT, LIMITS_SUBJECT, OUTBOX_SUBJECT, Nats
from roost.core.outbox import Outbox
from roost.core.rates import RateLimiter
from roost.core.settings import Settings
from roost.devices.elsewhere import ConnectedElsewhere
from roost.devices.identity import DeviceIdentity
from roost.devices.logs import DeviceLogs
from roost.devices.models import Device
from roost.devices.presence import Presence
from roost.mqtt.server import MqttServer
from roost.telemetry.condition import LogCondition
from roost.telemetry.ingest import Ingest
from roost.telemetry.messages import Committed
from roost.telemetry.postgres.sealer import sealer_of
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.shared_rate import SharedRate
from roost.telemetry.store_writer import StoreWriter
from roost.telemetry.stream_condition import StreamCondition
from roost.telemetry.stream_feed import CommittedFeed
from roost.telemetry.stream_log import StreamLog
from roost.telemetry.stream_positions import DeadLetter

_ASKED_DEVICES = 1_000

_encode = msgspec.msgpack.Encoder().encode
_decode_entered = msgspec.msgpack.Decoder(tuple[str, tuple[str, int], str]).decode
_decode_limit = msgspec.msgpack.Decoder(tuple[str, str, str, int]).decode
_log = logging.getLogger(__name__)


class Process:
    """This process, from `join` until the end of `rooms`."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, url: str) -> None:
        self.name = secrets.token_hex(8)
        self.nats = Nats(url, f"roost {self.name}")
        self._settings = settings
        self._database = database
        self._clock = clock

    async def join(self, rooms: AsyncExitStack, outbox: Outbox) -> None:
        """Connect; from now on what one process commits is heard by all at once. Raises NatsAway."""
        await self.nats.connect()
        rooms.push_async_callback(self.nats.close)
        nudge = _Nudge(outbox.relay)
        rooms.push_async_callback(nudge.stop)
        await self.nats.listen(OUTBOX_SUBJECT, self._unless_own(nudge))
        # Whatever was committed meanwhile, others could not say.
        self.nats.on_reconnect(nudge.wake)
        rooms.callback(self._database.after_commit(self._tell_committed))

    async def share_presence(self, presence: Presence) -> None:
        """Let the processes agree on who is there."""
        elsewhere = ConnectedElsewhere(self.nats)
        await elsewhere.answer(presence.holds)
        presence.share(elsewhere)

    async def share_clients(self, mqtt: MqttServer, presence: Presence) -> None:
        """A client that connects to one process is taken over from any other."""

        def entered(owner: tuple[str, int], client_id: str) -> None:
            self.nats.tell_soon(ENTERED_SUBJECT, _encode((self.name, owner, client_id)))

        async def on_entered(message: Msg) -> None:
            process, owner, client_id = _decode_entered(message.data)
            if process != self.name:
                device_id = mqtt.entered_elsewhere(owner, client_id)
                if device_id is not None:
                    presence.handed_over(device_id, "mqtt")

        await self.nats.listen(ENTERED_SUBJECT, on_entered)
        mqtt.share(entered)

    async def share_limits(self, limiters: Mapping[str, RateLimiter]) -> None:
        """Count together with the other processes; each limiter under its name."""

        def telling(name: str) -> Callable[[str, int], None]:
            return lambda key, change: self.nats.tell_soon(LIMITS_SUBJECT, _encode((self.name, name, key, change)))

        async def on_change(message: Msg) -> None:
            process, name, key, change = _decode_limit(message.data)
            if process != self.name and name in limiters:
                limiters[name].changed_elsewhere(key, change)

        await self.nats.listen(LIMITS_SUBJECT, on_change)
        for name, limiter in limiters.items():
            limiter.share(telling(name))

    def log(self) -> StreamLog:
        """The log to which this process appends."""
        store = PostgresLog(self._settings.database_url, self._clock)
        return StreamLog(
            self.nats, store, replicas=self._settings.nats_replicas, largest_mib=self._settings.nats_stream_mib
        )

    def condition(self, store: LogCondition) -> StreamCondition:
        """How the log is doing, of which `store` is the end."""
        return StreamCondition(self.nats, store)

    async def share_telemetry(self, ingest: Ingest, store: TelemetryStore) -> None:
        """Hear what is stored, and count what every process lets through."""
        await CommittedFeed(self.nats, ingest.tell, store.forget_all).start()
        await SharedRate(self.nats, self.name, ingest.rate, self._clock).start()

    async def start_writing(
        self, rooms: AsyncExitStack, device_logs: DeviceLogs, told: Callable[[list[Committed]], None]
    ) -> None:
        """Store what is in the stream, together with the other writers, and seal what is stored.

        `told` hears what was stored here.
        """

        def buried(letter: DeadLetter) -> None:
            if letter.device_id is not None:
                device_logs.write(letter.device_id, "error", f"A message could not be stored: {letter.reason}")

        store = PostgresLog(self._settings.database_url, self._clock)
        rooms.push_async_callback(store.close)
        await store.open()
        writer = StoreWriter(
            self.nats, store, self._settings.database_url, self._identify, told=told, buried=buried
        )  # fmt: skip
        sealer = sealer_of(store, self._settings.database_url)
        sealer.start()
        rooms.push_async_callback(sealer.stop)
        await writer.start()
        rooms.push_async_callback(writer.stop)

    def _unless_own(self, nudge: "_Nudge") -> Callable[[Msg], Awaitable[None]]:
        own = self.name.encode()

        async def on_nudge(message: Msg) -> None:
            if message.data != own:
                nudge.wake()

        return on_nudge

    async def _tell_committed(self) -> None:
        await self.nats.tell(OUTBOX_SUBJECT, self.name.encode())

    async def _identify(self, device_ids: Collection[int]) -> dict[int, DeviceIdentity | None]:
        wanted, found = list(device_ids), dict[int, DeviceIdentity | None]()
        columns = (Device.id, Device.device_uid, Device.organization_id, Device.home_id, Device.retired_at)
        async with self._database.read() as session:
            for start in range(0, len(wanted), _ASKED_DEVICES):
                query = select(*columns).where(Device.id.in_(wanted[start : start + _ASKED_DEVICES]))
                for row in await session.execute(query):
                    organization_id = None if row.retired_at else row.organization_id
                    found[row.id] = (
                        DeviceIdentity(row.id, row.device_uid, organization_id, row.home_id)
                        if organization_id is not None
                        else None
                    )
        return found


class _Nudge:
    """Relays the outbox as soon as another process says that there is something; many words, one look."""

    def __init__(self, relay: Callable[[], Awaitable[None]]) -> None:
        self._relay = relay
        self._due = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="outbox-nudge")
        self.wake = self._due.set

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._relay()
            except AWAY as error:
                _log.warning("the outbox cannot reach the database: %s", error)
