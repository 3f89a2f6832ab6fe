"""The hub keeps an eye on its own audit log: at each start and every minute it looks whether what it saw last is there.

What is wrong is logged, and becomes an entry itself. Each look moves the anchor (`anchor.py`) on.
"""

import asyncio
import logging
from pathlib import Path

import roost
from roost.access.audit import anchor as anchors
from roost.access.audit.anchor import Anchor
from roost.access.audit.log import SYSTEM, Deed, record
from roost.access.audit.verification import anchor_findings, read_end
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError

_log = logging.getLogger(__name__)

_EVERY_S = 60.0


class AuditWatch:
    """One task between `start` and `stop`; several hubs on one database each keep their own anchor."""

    def __init__(self, database: Database, folder: Path, key: str) -> None:
        self._database = database
        self._folder = folder
        self._key = key
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look, write down that the hub has started, and go on looking. Errors of the database pass through."""
        await self.look()
        async with self._database.write() as session:
            record(session, Deed("hub.started", SYSTEM, details={"version": roost.__version__}))
        await self.look()
        self._task = asyncio.create_task(self._run(), name="audit-watch")

    async def stop(self) -> None:
        """Look for a last time."""
        self._stopping.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def look(self) -> list[str]:
        """What is wrong, as sentences; it is told and from then on taken as it is."""
        seen = await asyncio.to_thread(anchors.load, self._folder)
        found = await self._compare(seen)
        if found:
            _log.error("The audit log is not as this hub left it: %s", " ".join(found))
            async with self._database.write() as session:
                record(session, Deed("audit.inconsistency_found", SYSTEM, "failed", details={"found": found}))
        async with self._database.read() as session:
            end = await read_end(session, self._key)
        now = Anchor(end.last_id, end.last_mac) if end is not None else None
        if now is not None and now != seen:
            await asyncio.to_thread(anchors.save, self._folder, now)
        return found

    async def _compare(self, seen: Anchor | None) -> list[str]:
        async with self._database.read() as session:
            end = await read_end(session, self._key)
            found = await anchor_findings(session, seen)
        if end is not None and not end.sealed:
            found.append("Its end is sealed with another key, or was changed.")
        return found

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            try:
                await self.look()
            except (*AWAY, RoostError) as error:
                _log.warning("The audit log could not be looked at: %s", error)
