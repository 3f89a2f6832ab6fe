"""The live feed: what the stages below announce becomes frames for whoever listens."""

import asyncio
from functools import partial
from typing import Any

from fastapi import WebSocket

from roost.access.authentication import UserAuthentication
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.messages import LOGS_WRITTEN, STATUS_CHANGED
from roost.devices.repository import list_written
from roost.devices.shadow.messages import CHANGED as SHADOW_CHANGED
from roost.live.audit import SocketAudit
from roost.live.frames import log_frame, shadow_frame, status_frame, task_frame, telemetry_frame
from roost.live.listeners import Listeners
from roost.live.rights import Rights
from roost.live.socket import LiveSocket
from roost.tasks.messages import CHANGED as TASKS_CHANGED
from roost.telemetry.ingest import Ingest
from roost.telemetry.messages import Committed

TELEMETRY_SCOPE = "telemetry:read"
DEVICES_SCOPE = "devices:read"
TASKS_SCOPE = "tasks:read"


class Live:
    """Fans committed telemetry, changes of presence, shadow and tasks, and lines of logs out to WebSockets."""

    def __init__(
        self,
        database: Database,
        authentication: UserAuthentication,
        clock: Clock,
        bus: Bus,
        ingest: Ingest,
        *,
        audit: SocketAudit,
    ) -> None:
        self._rights = Rights(database, authentication, clock, bus)
        self._audit = audit
        self._telemetry = Listeners()
        self._status = Listeners()
        self._shadow = Listeners()
        self._logs = Listeners()
        self._tasks = Listeners()
        self._database = database
        # Lines that were written one after another are read one after another.
        self._reading_lines = asyncio.Lock()
        self._subscriptions = [
            ingest.subscribe(self._on_committed),
            bus.subscribe(STATUS_CHANGED, self._on_status_changed),
            bus.subscribe(SHADOW_CHANGED, self._on_shadow_changed),
            bus.subscribe(LOGS_WRITTEN, self._on_logs_written),
            bus.subscribe(TASKS_CHANGED, self._on_tasks_changed),
        ]

    def stop(self) -> None:
        """Stop listening to the other rooms; the server closes the sockets."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        self._rights.close()

    @property
    def open_sockets(self) -> int:
        """How many sockets are listening."""
        return sum(map(len, (self._telemetry, self._status, self._shadow, self._logs, self._tasks)))

    async def serve_telemetry(self, websocket: WebSocket) -> None:
        """Serve a `/ws/live-data` socket until it ends."""
        await LiveSocket(websocket, self._telemetry, TELEMETRY_SCOPE, self._rights, self._audit).serve()

    async def serve_status(self, websocket: WebSocket) -> None:
        """Serve a `/ws/device-status` socket until it ends."""
        await LiveSocket(websocket, self._status, DEVICES_SCOPE, self._rights, self._audit).serve()

    async def serve_shadow(self, websocket: WebSocket) -> None:
        """Serve a `/ws/device-shadow` socket until it ends."""
        await LiveSocket(websocket, self._shadow, DEVICES_SCOPE, self._rights, self._audit).serve()

    async def serve_logs(self, websocket: WebSocket) -> None:
        """Serve a `/ws/device-logs` socket until it ends."""
        await LiveSocket(websocket, self._logs, DEVICES_SCOPE, self._rights, self._audit).serve()

    async def serve_tasks(self, websocket: WebSocket) -> None:
        """Serve a `/ws/tasks` socket until it ends."""
        await LiveSocket(websocket, self._tasks, TASKS_SCOPE, self._rights, self._audit).serve()

    def _on_committed(self, batch: list[Committed]) -> None:
        listeners = self._telemetry
        if not listeners:
            return
        for committed in batch:
            device = committed.device
            build = partial(telemetry_frame, committed)
            listeners.offer(device.device_id, device.organization_id, device.home_id, build)

    def _on_status_changed(self, _subject: str, event: dict[str, Any]) -> None:
        if self._status and event["organization_id"] is not None:
            self._status.offer(
                event["device_id"], event["organization_id"], event["home_id"], lambda: status_frame(event)
            )

    def _on_shadow_changed(self, _subject: str, event: dict[str, Any]) -> None:
        if self._shadow and event["organization_id"] is not None:
            self._shadow.offer(
                event["device_id"], event["organization_id"], event["home_id"], lambda: shadow_frame(event)
            )

    def _on_tasks_changed(self, _subject: str, message: dict[str, Any]) -> None:
        if not self._tasks:
            return
        for event in message["tasks"]:
            if event["organization_id"] is not None:
                build = partial(task_frame, event)
                self._tasks.offer(event["device_id"], event["organization_id"], event["home_id"], build)

    async def _on_logs_written(self, _subject: str, event: dict[str, Any]) -> None:
        if not self._logs:
            return
        wanted = [line_id for line_id, device_id in event["lines"] if self._logs.might_want(device_id)]
        if not wanted:
            return
        async with self._reading_lines, self._database.read() as session:
            lines = await list_written(session, wanted)
            for line, organization_id, home_id in lines:
                self._logs.offer(line.device_id, organization_id, home_id, partial(log_frame, line))
