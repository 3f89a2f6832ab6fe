"""The live feed: what the stages below announce becomes frames for whoever listens."""

from functools import partial
from typing import Any

from fastapi import WebSocket

from roost.access.authentication import UserAuthentication
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.messages import STATUS_CHANGED
from roost.live.audit import SocketAudit
from roost.live.frames import status_frame, telemetry_frame
from roost.live.listeners import Listeners
from roost.live.rights import Rights
from roost.live.socket import LiveSocket
from roost.telemetry.ingest import Ingest
from roost.telemetry.messages import Committed

TELEMETRY_SCOPE = "telemetry:read"
STATUS_SCOPE = "devices:read"


class Live:
    """Fans committed telemetry and changes of presence out to WebSockets."""

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
        self._subscriptions = [
            ingest.subscribe(self._on_committed),
            bus.subscribe(STATUS_CHANGED, self._on_status_changed),
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
        return len(self._telemetry) + len(self._status)

    async def serve_telemetry(self, websocket: WebSocket) -> None:
        """Serve a `/ws/live-data` socket until it ends."""
        await LiveSocket(websocket, self._telemetry, TELEMETRY_SCOPE, self._rights, self._audit).serve()

    async def serve_status(self, websocket: WebSocket) -> None:
        """Serve a `/ws/device-status` socket until it ends."""
        await LiveSocket(websocket, self._status, STATUS_SCOPE, self._rights, self._audit).serve()

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
