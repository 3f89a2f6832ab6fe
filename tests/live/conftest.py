"""Live sockets for tests: opened by a client that nobody here wrote."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.roost_server import RoostServer

RECEIVE_TIMEOUT_S = 10.0


class LiveClient:
    """One WebSocket; frames are dictionaries."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def receive(self, timeout_s: float = RECEIVE_TIMEOUT_S) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout_s))
        return frame

    def receive_until(self, kind: str) -> dict[str, Any]:
        """The next frame of this type."""
        while (frame := self.receive())["type"] != kind:
            pass
        return frame

    def send(self, frame: object) -> None:
        """Send one frame: text or bytes as they are, anything else as JSON."""
        self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def closing(self) -> tuple[int, str]:
        """Read until the hub closes; the code and the reason it gives."""
        with pytest.raises(ConnectionClosed) as closed:
            self._receive_for_ever()
        farewell = closed.value.rcvd
        assert farewell is not None, "The connection broke without a close frame."
        return farewell.code, farewell.reason

    def _receive_for_ever(self) -> None:
        while True:
            self.connection.recv(timeout=RECEIVE_TIMEOUT_S)


OpenLive = Callable[..., LiveClient]


@contextmanager
def connect_live(
    server: RoostServer, path: str = "/api/v1/ws/live-data", token: str | None = None, **options: Any
) -> Iterator[LiveClient]:
    """Open a socket; with `token`, authenticate in the first frame and read `ready`."""
    url = server.url.replace("http", "ws", 1) + path
    with connect(url, proxy=None, **options) as connection:
        live = LiveClient(connection)
        if token is not None:
            live.send({"type": "authenticate", "token": token})
            assert live.receive() == {"type": "ready"}
        yield live


@pytest.fixture
def open_live(server: RoostServer) -> Iterator[OpenLive]:
    """`open_live(path, token)` opens a socket on the server; all are closed afterwards."""
    with ExitStack() as opened:

        def open_one(path: str = "/api/v1/ws/live-data", token: str | None = None, **options: Any) -> LiveClient:
            return opened.enter_context(connect_live(server, path, token, **options))

        yield open_one


def bearer(token: str) -> list[Subprotocol]:
    """The subprotocols that carry a token."""
    return [Subprotocol("bearer"), Subprotocol(token)]
