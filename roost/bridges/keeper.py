"""Which bridges run in this process, and with which connection each."""

import asyncio
import importlib
import logging
import secrets
from typing import TYPE_CHECKING, Any

from roost.bridges.book import BridgeBook
from roost.bridges.config import BridgeConfig
from roost.bridges.devices import HeardDevices
from roost.bridges.messages import CHANGED
from roost.bridges.sealing import Sealing
from roost.bridges.standing import Standing
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError
from roost.core.tasks import end
from roost.devices.logs import DeviceLogs
from roost.devices.messages import DELETED
from roost.devices.presence import Presence
from roost.telemetry.ingest import Ingest
from roost.telemetry.queries import TelemetryStore

if TYPE_CHECKING:
    from roost.bridges.link import Link

_log = logging.getLogger(__name__)

TICK_S = 0.5
# So often what another process left is taken over, what this one has is kept, and what has no home any more is ended.
LOOK_EVERY_S = 10.0
_AWAY = (*AWAY, RoostError)


class _Running:
    __slots__ = ("link", "standing")

    def __init__(self, link: "Link", standing: Standing) -> None:
        self.link = link
        self.standing = standing


class Bridges:
    """Starts, changes and ends connections as the table of bridges says."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        bus: Bus,
        *,
        sealing: Sealing,
        ingest: Ingest,
        store: TelemetryStore,
        presence: Presence,
        device_logs: DeviceLogs,
        public_url: str | None,
    ) -> None:
        # Two hubs may share a PostgreSQL; a SQLite file has one.
        self._shared = database.dialect == "postgresql"
        self._book = BridgeBook(database, clock, secrets.token_hex(8) if self._shared else None)
        self._database = database
        self._clock = clock
        self._bus = bus
        self._sealing = sealing
        self._ingest = ingest
        self._store = store
        self._presence = presence
        self._device_logs = device_logs
        self._public_url = public_url
        self._running: dict[int, _Running] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._looked_at = 0.0
        self._task: asyncio.Task[None] | None = None
        # An organization goes with its devices, and its bridges with it.
        self._unsubscribe = [bus.subscribe(CHANGED, self._on_changed), bus.subscribe(DELETED, self._on_changed)]

    def start(self) -> None:
        self._changed.set()
        self._task = asyncio.create_task(self._run(), name="bridges")

    async def stop(self) -> None:
        """Leave every broker, and let other processes have the bridges."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._stopping.set()
        self._changed.set()
        if self._task is not None:
            # Not cancelled at first: it may be in a transaction.
            await asyncio.wait({self._task}, timeout=5)
            await end(self._task)
        await asyncio.gather(*(running.link.stop() for running in self._running.values()))
        try:
            await self._write_standings()
            await self._book.release()
        except _AWAY as error:
            _log.warning("bridges could not be handed over: %s", error)
        self._running.clear()

    def _on_changed(self, subject: str, _message: dict[str, Any]) -> None:
        if subject == CHANGED or self._running:
            self._changed.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._look_if_due()
                await self._write_standings()
            except _AWAY as error:
                _log.warning("bridges have to wait for the database: %s", error)
                self._changed.set()
                await asyncio.sleep(TICK_S)
                continue
            await self._wait()

    async def _wait(self) -> None:
        """Until something changed; where there are bridges or other processes, a moment at most."""
        waiting = asyncio.create_task(self._changed.wait())
        patience_s = TICK_S if self._running or self._shared else None
        await asyncio.wait({waiting}, timeout=patience_s)
        await end(waiting)

    async def _look_if_due(self) -> None:
        now = self._clock.monotonic()
        finished = any(running.link.done for running in self._running.values())
        concerned = bool(self._running) or self._shared
        if not (self._changed.is_set() or finished or (concerned and now - self._looked_at >= LOOK_EVERY_S)):
            return
        self._changed.clear()
        self._looked_at = now
        wanted = {config.id: config for config in await self._book.list_due()}
        for bridge_id, running in tuple(self._running.items()):
            if running.link.done or wanted.get(bridge_id) != running.link.config:
                await self._close(bridge_id, running)
        for config in wanted.values():
            if config.id not in self._running and not self._stopping.is_set():
                self._running[config.id] = await self._open(config)

    async def _close(self, bridge_id: int, running: _Running) -> None:
        if running.link.config.leaving and not running.link.done and not await self._book.exists(bridge_id):
            return
        del self._running[bridge_id]
        await running.link.stop()
        if not running.link.config.leaving and not await self._book.exists(bridge_id):
            # Its organization or home was deleted: nobody else will tell the broker.
            link = running.link.leave_for_good()
            link.start()
            self._running[bridge_id] = _Running(link, running.standing)

    async def _open(self, config: BridgeConfig) -> _Running:
        # The library is loaded with the first bridge: most hubs have none.
        module = await asyncio.to_thread(importlib.import_module, "roost.bridges.link")
        standing = Standing(self._clock)
        password = None
        if config.sealed_password is not None:
            password = self._sealing.open(config.client_id, config.sealed_password)
        devices = HeardDevices(config, self._database, self._book, self._clock, self._bus)
        link: Link = module.open_link(
            config, password, devices=devices, standing=standing, book=self._book, clock=self._clock,
            ingest=self._ingest, write_log=self._device_logs.write, store=self._store, presence=self._presence,
            bus=self._bus, public_url=self._public_url,
        )  # fmt: skip
        link.start()
        return _Running(link, standing)

    async def _write_standings(self) -> None:
        changed = [(bridge_id, one.standing) for bridge_id, one in self._running.items() if one.standing.changed]
        if not changed:
            return
        for _, standing in changed:
            standing.changed = False
        try:
            await self._book.write_standings(changed)
        except BaseException:
            for _, standing in changed:
                standing.changed = True
            raise
