"""The web server's WebSocket protocol, with what uvicorn's lacks for clients that do not take what they are sent."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

# For the last words to a client; whoever does not take them in this time is cut off.
_FAREWELL_S = 5.0


class WebSockets(WebSocketsSansIOProtocol):
    """Named in `run.py`, so that only a hub that serves sockets imports it."""

    transport: Any

    def handle_ping(self) -> None:
        """Answer, and read on when the client takes the answers: pings without end would fill the memory with them."""
        super().handle_ping()
        if not self.writable.is_set():
            self.transport.pause_reading()

    async def receive(self) -> Any:
        """The next message; whoever takes it has uvicorn read on, whatever the client still has to take."""
        message = await super().receive()
        if not self.writable.is_set() and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def resume_writing(self) -> None:
        """The client took what had piled up."""
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """The client does not answer."""
        super().keepalive_timeout()
        self._let_go()

    def on_task_complete(self, task: Any) -> None:
        """Nobody serves this socket any more."""
        super().on_task_complete(task)
        self._let_go()

    def _let_go(self) -> None:
        # To close is to wait until everything has been taken, however long that is.
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_FAREWELL_S, self.transport.abort)

    def shutdown(self) -> None:
        """End this connection.

        To one whose client said goodbye first, and has not taken the answer yet, uvicorn would say goodbye once more:
        that raises, and nothing behind it is stopped.
        """
        if self.handshake_complete and self.conn.state is not State.OPEN:
            self.stop_keepalive()
            self.transport.abort()
            return
        super().shutdown()
