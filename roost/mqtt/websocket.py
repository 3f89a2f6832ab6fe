"""MQTT over WebSocket: the same session behind `/mqtt` on the HTTP port (subprotocol `mqtt`)."""

import asyncio
import contextlib
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from roost.mqtt.server import MqttServer
from roost.mqtt.session import Session

PATH = "/mqtt"
SUBPROTOCOL = "mqtt"
_HIGH_WATER_BYTES = 64 * 1024
_UNSUPPORTED_DATA = 1003
_RESTARTING = 1012
# A client that takes nothing does not take the goodbye either.
_FAREWELL_S = 5.0
# What a send may meet when the client is quicker to leave.
_GONE = (WebSocketDisconnect, RuntimeError, OSError)


class WebSocketWire:
    """A WebSocket that looks like a transport to the session: one task sends while there is something to send."""

    def __init__(self, websocket: WebSocket, session: Session) -> None:
        self._websocket = websocket
        self._session = session
        self._buffer = bytearray()
        self._sender: asyncio.Task[None] | None = None
        self._choked = False
        self._closing = False
        self.readable = asyncio.Event()
        self.readable.set()
        self.over = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Buffers; MQTT packets and WebSocket frames need not align."""
        if self._closing:
            return
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER_BYTES and not self._choked:
            self._choked = True
            self._session.pause_writing()
        self._send_soon()

    def close(self) -> None:
        """Sends the rest first."""
        self._closing = True
        self.readable.set()
        self._send_soon()

    def can_write_eof(self) -> bool:
        """A WebSocket has a closing handshake of its own."""
        return False

    def write_eof(self) -> None:
        """Never called, see `can_write_eof`."""
        self.close()

    def abort(self) -> None:
        """Drops the rest."""
        self._closing = True
        self._buffer.clear()
        self.over.set()

    def pause_reading(self) -> None:
        """The client's frames wait in the web server, and then in TCP."""
        self.readable.clear()

    def resume_reading(self) -> None:
        self.readable.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername` only."""
        client = self._websocket.client
        return (client.host, client.port) if name == "peername" and client is not None else default

    def _send_soon(self) -> None:
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._buffer:
                data = bytes(self._buffer)
                self._buffer.clear()
                await self._websocket.send_bytes(data)
                if self._choked and not self._buffer:
                    self._choked = False
                    self._session.resume_writing()
        except _GONE:
            self._buffer.clear()
            self._closing = True
        finally:
            self._sender = None
        if self._closing:
            self.over.set()

    async def finish(self) -> None:
        """Waits for the sender and closes what is still open."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(*_GONE, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._websocket.close()


async def mqtt_websocket(websocket: WebSocket) -> None:
    """The endpoint: `app.state.mqtt` is the server."""
    if SUBPROTOCOL not in websocket.scope["subprotocols"]:
        await websocket.close(1002)
        return
    server: MqttServer = websocket.app.state.mqtt
    await websocket.accept(SUBPROTOCOL)
    session = Session(server)
    wire = WebSocketWire(websocket, session)
    session.connection_made(wire)
    receiving = asyncio.create_task(_receive(websocket, wire, session))
    over = asyncio.create_task(wire.over.wait())
    try:
        await asyncio.wait((receiving, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        receiving.cancel()
        over.cancel()
        await asyncio.gather(receiving, over, return_exceptions=True)
        session.connection_lost(None)
        await wire.finish()


async def _receive(websocket: WebSocket, wire: WebSocketWire, session: Session) -> None:
    while True:
        await wire.readable.wait()
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            # The web server closes its sockets before the lifespan ends. A client's own close brings a reason along.
            session.restarting = message.get("code") == _RESTARTING and "reason" not in message
            return
        data = message.get("bytes")
        if data is None:
            with contextlib.suppress(*_GONE):
                await websocket.close(_UNSUPPORTED_DATA, "MQTT packets are binary.")
            return
        session.data_received(data)
