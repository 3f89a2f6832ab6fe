"""The telemetry room as one thing that starts and stops: log, ingest, store."""

import importlib
import logging
from typing import Any

from sqlalchemy.engine import make_url

from roost.core.blobs import blobs_for
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.disk import DiskGuard
from roost.core.settings import Settings
from roost.devices.presence import Presence
from roost.telemetry.ingest import Ingest
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.retention.history import History
from roost.telemetry.retention.horizons import Horizons
from roost.telemetry.sealer import Sealer
from roost.telemetry.sqlite_log import SqliteLog

logger = logging.getLogger(__name__)


def open_log(settings: Settings, clock: Clock) -> Log:
    """The log that belongs to the database: files in the data folder, or a table in PostgreSQL. Not opened yet."""
    if make_url(settings.database_url).get_backend_name() == "postgresql":
        # Its driver costs 5 MB and a tenth of a second, which a small board on SQLite need not pay.
        from roost.telemetry.postgres_log import PostgresLog  # noqa: PLC0415

        return PostgresLog(settings.database_url, clock)
    return SqliteLog(settings.data_dir / "telemetry", clock)


def sealer_of(log: Log, settings: Settings) -> Sealer:
    """What seals the closed slices of a log that `open_log` gave."""
    if isinstance(log, SqliteLog):
        return Sealer(log, settings.data_dir / "telemetry")
    postgres: Any = importlib.import_module("roost.telemetry.postgres.sealer")
    sealer: Sealer = postgres.sealer_of(log, settings.database_url)
    return sealer


class Telemetry:
    def __init__(
        self, settings: Settings, clock: Clock, bus: Bus, presence: Presence, queue: Log | None = None, *,
        disk: DiskGuard, database: Database,
    ) -> None:  # fmt: skip
        """`queue` stands in front of the store, where several processes share it."""
        self.log = queue or open_log(settings, clock)
        self.ingest = Ingest(
            self.log, clock, settings.telemetry_rate, presence.seen, queues=queue is not None, disk=disk
        )
        blobs = blobs_for(settings) if settings.archive else None
        self.history = History(self.log, Horizons(database, clock), blobs)
        self.store = TelemetryStore(self.log, clock, self.history)
        self._bus = bus
        self._sealer = None if queue else sealer_of(self.log, settings)

    async def start(self) -> None:
        await self.log.open()
        if self._sealer is not None:
            self._sealer.start()
        self.ingest.subscribe(self.store.note)
        self.ingest.start()
        self._bus.subscribe("device.deleted", self._on_deleted)

    async def stop(self) -> None:
        await self.ingest.stop()
        if self._sealer is not None:
            await self._sealer.stop()
        await self.log.close()

    async def _on_deleted(self, subject: str, message: dict[str, Any]) -> None:  # noqa: ARG002 - the bus's signature
        device_id = message["device_id"]
        self.ingest.rate.forget(device_id)
        try:
            await self.store.delete_device(device_id)
        except LogUnavailable as error:
            # Nobody can see it any more, and `roost telemetry prune` removes it with its age.
            logger.warning("the telemetry of deleted device %s could not be removed yet: %s", device_id, error)
