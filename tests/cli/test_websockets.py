"""Clients of WebSockets that do not take what they are sent, at the protocol that `roost run` gives them to."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.protocol import State

from roost.cli import websockets
from roost.cli.websockets import WebSockets
from tests.waiting import until

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
# Frames with a mask of zeros.
_NOTHING = b"\x82\x80" + bytes(4)
_PING = b"\x89\xfd" + bytes(4) + bytes(125)
_CLOSE = b"\x88\x80" + bytes(4)
_PONG_BYTES = 2 + 125
_SMALL_BYTES = 4096


@dataclass
class Conversation:
    """A client that reads only what it is told to, and the hub's end of its connection."""

    client: socket.socket
    hub: WebSockets
    served: ServerState

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the hub takes; how much that was."""
        with contextlib.suppress(BlockingIOError):
            return self.client.send(data)
        return 0


async def _application(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        """Nobody says anything here."""


@pytest.fixture
async def conversation() -> AsyncIterator[Conversation]:
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(_application, ws_ping_interval=None)
    state = ServerState()
    made: list[WebSockets] = []

    def serve() -> WebSockets:
        made.append(WebSockets(config, state, {}))
        return made[0]

    with socket.socket() as listening, socket.socket() as client:
        # Small, so that the system keeps little of what nobody reads.
        for end, kind in itertools.product((listening, client), (socket.SO_SNDBUF, socket.SO_RCVBUF)):
            end.setsockopt(socket.SOL_SOCKET, kind, _SMALL_BYTES)
        listening.bind(("127.0.0.1", 0))
        server = await loop.create_server(serve, sock=listening)
        client.setblocking(False)
        await loop.sock_connect(client, listening.getsockname())
        await loop.sock_sendall(client, _HANDSHAKE)
        assert b" 101 " in await loop.sock_recv(client, 4096)
        yield Conversation(client, made[0], state)
        made[0].transport.abort()
        server.close()
        await until(lambda: not state.connections and not state.tasks)


@pytest.mark.parametrize("between", [b"", _NOTHING], ids=["pings", "pings and messages"])
async def test_pings_whose_answers_nobody_takes_are_not_read_for_ever(
    conversation: Conversation, between: bytes
) -> None:
    unit = (_PING + between) * 100
    flood, sent, refusals = memoryview(unit * 1000), 0, 0

    def is_refused() -> bool:
        nonlocal sent, refusals
        taken = conversation.send(flood[sent:])
        sent += taken
        # For good: whoever takes a message might have the hub read on.
        refusals = 0 if taken or conversation.hub.transport.is_reading() else refusals + 1
        return refusals == 20

    await until(is_refused)
    assert sent < len(flood)
    assert conversation.hub.transport.get_write_buffer_size() < 1024 * 1024

    # A client that was only slow gets an answer to every one.
    loop, answers = asyncio.get_running_loop(), b""
    async with asyncio.timeout(20):
        while len(answers) < sent // len(unit) * 100 * _PONG_BYTES:
            answers += await loop.sock_recv(conversation.client, 65536)


async def test_a_client_that_is_leaving_does_not_keep_the_hub_from_ending(conversation: Conversation) -> None:
    # More answers than the system keeps, less than stops the hub from reading.
    await asyncio.get_running_loop().sock_sendall(conversation.client, _PING * 200 + _CLOSE)
    await until(lambda: conversation.hub.conn.state is State.CLOSING)
    assert conversation.hub.transport.get_write_buffer_size() > 0
    conversation.hub.shutdown()
    await until(lambda: not conversation.served.connections)


async def test_a_client_that_takes_no_goodbye_is_cut_off(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websockets, "_FAREWELL_S", 0.05)
    await asyncio.get_running_loop().sock_sendall(conversation.client, _PING * 200)
    await until(lambda: conversation.hub.transport.get_write_buffer_size() > 0)
    conversation.hub.keepalive_timeout()
    assert conversation.served.connections
    await until(lambda: not conversation.served.connections)
