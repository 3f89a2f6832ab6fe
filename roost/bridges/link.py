"""One bridge that runs: connects, takes, announces, and comes back after whatever happened."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import aiomqtt

from roost.bridges.announcing import Announcer
from roost.bridges.book import BridgeBook
from roost.bridges.broker import Broker, BrokerError, tls_context
from roost.bridges.config import BridgeConfig
from roost.bridges.devices import HeardDevices
from roost.bridges.intake import BridgeIntake, Incoming
from roost.bridges.standing import Standing
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import AWAY
from roost.core.errors import RoostError
from roost.core.tasks import end
from roost.devices.presence import Presence
from roost.telemetry.ingest import Ingest
from roost.telemetry.log import LogUnavailable
from roost.telemetry.queries import TelemetryStore

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
# A connection that stood for so long was a good one: the next wait is short again.
GOOD_AFTER_S = 30.0
ANSWER_PATIENCE_S = 3.0
_DATABASE_AWAY = "The hub cannot store messages at the moment; the broker keeps them until it can."
_NO_PASSWORD = "The password cannot be read, because the hub's secret key was changed; give it again."  # noqa: S105


class _StoreAway(Exception):  # noqa: N818 - it reads as what it says
    """What is taken now cannot be stored."""


class Link:
    """Runs from `start` to `stop`. The broker keeps the session meanwhile, and everything that nobody acknowledged."""

    def __init__(
        self,
        config: BridgeConfig,
        password: str | None,
        *,
        devices: HeardDevices,
        standing: Standing,
        book: BridgeBook,
        clock: Clock,
        intake: Callable[[Callable[[int], None]], BridgeIntake],
        announcer: Announcer,
    ) -> None:
        """`intake(acknowledge)` makes what takes the messages of one connection."""
        self.config = config
        self._password = password
        self._devices = devices
        self._standing = standing
        self._book = book
        self._clock = clock
        self._intake = intake
        self._announcer = announcer
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; whatever fails is tried again."""
        self._task = asyncio.create_task(self._run(), name=f"bridge-{self.config.id}")

    async def stop(self) -> None:
        """Take nothing more, acknowledge what is stored, and leave; the session stays."""
        self._stopping.set()
        self._devices.stop()
        self._standing.become("waiting", "The hub has stopped, or connects anew.")
        if self._task is not None:
            # Not cancelled at first: it may be in a transaction.
            await asyncio.wait({self._task}, timeout=2 * ANSWER_PATIENCE_S)
            await end(self._task)

    def leave_for_good(self) -> "Link":
        """A link, not started yet, that takes back what this one has announced and leaves nothing at the broker."""
        return Link(
            replace(self.config, leaving=True), self._password, devices=self._devices, standing=self._standing,
            book=self._book, clock=self._clock, intake=self._intake, announcer=self._announcer,
        )  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether it has said farewell and has nothing more to do."""
        return self._task is not None and self._task.done()

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                if self.config.sealed_password is not None and self._password is None:
                    self._standing.become("failing", _NO_PASSWORD)
                    await self._stopping.wait()
                    return
                await self._connect_once()
                if self.config.leaving:
                    return
            except (BrokerError, ValueError) as error:
                self._failed(f"The broker at {self.config.url} is not there or refuses: {_sentence(error)}")
            except _StoreAway as error:
                self._failed(str(error))
            except (*AWAY, LogUnavailable, RoostError) as error:
                _log.warning("bridge %d has to wait: %s", self.config.id, error)
                self._failed(_DATABASE_AWAY)
            except Exception:  # noqa: BLE001 - one bridge's trouble is nobody else's
                _log.exception("bridge %d failed", self.config.id)
                self._failed("The hub could not go on; its log says why.")
            if self._clock.monotonic() - began > GOOD_AFTER_S:
                wait_s = FIRST_WAIT_S
            # Hubs that lost the same broker must not all come back in the same moment.
            await self._pause(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  # nosec B311
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _failed(self, why: str) -> None:
        if not self._stopping.is_set():
            self._standing.become("failing", why)

    async def _pause(self, seconds: float) -> None:
        await asyncio.wait({stopped := asyncio.ensure_future(self._stopping.wait())}, timeout=seconds)
        stopped.cancel()

    async def _connect_once(self) -> None:
        tls = await asyncio.to_thread(tls_context, self.config)
        await self._devices.start()
        async with Broker(self.config, self._password, tls) as broker:
            if self.config.leaving:
                await self._say_farewell(broker)
                return
            intake = self._intake(broker.acknowledge)
            self._announcer.begin(self._devices.heard)
            self._devices.on_heard = self._announcer.is_known
            try:
                await self._subscribe(broker)
                self._standing.become("connected", None)
                await self._exchange(broker, intake)
            finally:
                await self._answer_rest(intake)
                intake.close()

    async def _subscribe(self, broker: Broker) -> None:
        stale = [one for one in self.config.stale_filters if one not in self.config.filters]
        if stale:
            await broker.unsubscribe(stale)
            await self._book.cleared(self.config.id, stale)
        for topic_filter in self.config.filters:
            await broker.listen(topic_filter)

    async def _exchange(self, broker: Broker, intake: BridgeIntake) -> None:
        """Take messages and announce devices until told to stop. Raises what ends the connection."""
        telling = asyncio.create_task(self._announce(broker), name=f"bridge-{self.config.id}-announcing")
        stopped = asyncio.create_task(self._stopping.wait())
        enders: set[asyncio.Future[Any]] = {stopped, intake.failed, telling}
        messages = broker.messages
        try:
            while not any(ender.done() for ender in enders):
                message = broker.next_waiting() or await _before(anext(messages), enders)
                if message is not None:
                    await self._take(message, intake)
            if intake.failed.done():
                raise _StoreAway(intake.failed.result())
            if telling.done():
                telling.result()
        finally:
            stopped.cancel()
            self._announcer.finish()
            await asyncio.wait({telling}, timeout=ANSWER_PATIENCE_S)
            await end(telling)

    async def _announce(self, broker: Broker) -> None:
        """Until the link stops; raises what ends the connection."""
        if self.config.discovery_prefix is not None:
            await self._announcer.run(broker)
        else:
            await self._announcer.take_back_all(broker)
            await self._stopping.wait()

    async def _take(self, message: aiomqtt.Message, intake: BridgeIntake) -> None:
        topic = message.topic.value
        payload = message.payload if isinstance(message.payload, bytes) else b""
        packet_id = message.mid if message.qos else 0
        if self._announcer.is_ours(topic):
            self._announcer.heard(topic, payload, retained=message.retain)
            intake.settle_at_once(packet_id)
        elif message.retain:
            # Nobody knows how old it is; stored it would be a reading of now.
            intake.settle_at_once(packet_id)
        else:
            await intake.take(Incoming(topic, payload, packet_id))

    async def _answer_rest(self, intake: BridgeIntake) -> None:
        deadline = self._clock.monotonic() + ANSWER_PATIENCE_S
        while intake.unanswered and not intake.failed.done() and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - once, at the very end
            await asyncio.sleep(0.01)

    async def _say_farewell(self, broker: Broker) -> None:
        """Leave nothing behind at the broker."""
        filters = [*self.config.filters, *self.config.stale_filters, *self._announcer.filters]
        if filters:
            await broker.unsubscribe(filters)
        await self._announcer.take_back_all(broker)
        await self._book.said_farewell(self.config)


def open_link(
    config: BridgeConfig,
    password: str | None,
    *,
    devices: HeardDevices,
    standing: Standing,
    book: BridgeBook,
    clock: Clock,
    ingest: Ingest,
    write_log: Callable[[int, str, str], object],
    store: TelemetryStore,
    presence: Presence,
    bus: Bus,
    public_url: str | None,
) -> Link:
    """A link with all that it needs, not started yet."""

    def intake(acknowledge: Callable[[int], None]) -> BridgeIntake:
        return BridgeIntake(
            config, ingest, devices=devices, standing=standing, write_log=write_log, acknowledge=acknowledge
        )

    announcer = Announcer(
        config, book=book, store=store, presence=presence, bus=bus, subscribe=ingest.subscribe, public_url=public_url
    )
    return Link(
        config, password, devices=devices, standing=standing, book=book, clock=clock, intake=intake,
        announcer=announcer,
    )  # fmt: skip


async def _before(message: Awaitable[_T], enders: set[asyncio.Future[Any]]) -> _T | None:
    """The message, or None when one of `enders` is done first."""
    getting = asyncio.ensure_future(message)
    await asyncio.wait({getting, *enders}, return_when=asyncio.FIRST_COMPLETED)
    if getting.done() and not any(ender.done() for ender in enders):
        return getting.result()
    await end(getting)
    return None


def _sentence(error: Exception) -> str:
    said = str(error).strip() or type(error).__name__
    return said if said.endswith(".") else f"{said}."
