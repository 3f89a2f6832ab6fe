"""The same sessions behind `/mqtt`: frames need not be packets, and everything ends as it does on TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from roost.mqtt.websocket import PATH, mqtt_websocket
from tests.mqtt import wire
from tests.mqtt.conftest import TOKEN, Endpoint
from tests.mqtt.wire import narrow_socket
from tests.waiting import until

TOPIC = "devices/me/telemetry"


@pytest.fixture
async def web(endpoint: Endpoint) -> AsyncIterator[uvicorn.Server]:
    """uvicorn with the endpoint's WebSocket."""
    app = Starlette(routes=[WebSocketRoute(PATH, mqtt_websocket)])
    app.state.mqtt = endpoint.server
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="websockets-sansio", log_config=None))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await serving


@pytest.fixture
async def url(web: uvicorn.Server) -> str:
    """Where the endpoint's WebSocket is."""
    return f"ws://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}{PATH}"


@asynccontextmanager
async def _open(url: str, subprotocol: str = "mqtt", **options: Any) -> AsyncIterator[ClientConnection]:
    protocols = [Subprotocol(subprotocol)]
    async with connect(url, subprotocols=protocols, proxy=None, max_size=None, compression=None, **options) as socket:
        yield socket


async def _bytes(socket: ClientConnection, count: int) -> bytes:
    """At least `count` bytes, whatever the frames."""
    got = b""
    async with asyncio.timeout(5):
        while len(got) < count:
            frame = await socket.recv()
            assert isinstance(frame, bytes)
            got += frame
    return got


async def test_frames_are_not_packets(endpoint: Endpoint, url: str) -> None:
    stream = wire.connect(4, password=TOKEN)
    stream += b"".join(wire.publish(TOPIC, b'{"payload":{"n":%d}}' % n, n) for n in range(1, 301)) + wire.PING
    async with _open(url) as socket:
        assert socket.subprotocol == "mqtt"
        for start in range(0, len(stream), 37):
            await socket.send(stream[start : start + 37])
        answer = await _bytes(socket, 4 + 300 * 4 + 2)
        assert answer.startswith(b"\x20\x02\x00\x00")
        assert answer.count(b"\x40\x02") >= 300
        await socket.send(wire.DISCONNECT)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert endpoint.stored() == [{"n": n} for n in range(1, 301)]
    await until(lambda: not endpoint.server.registry.open)
    assert endpoint.notes.presence[-1] == ("disconnected", 7, "It disconnected.")


async def test_the_subprotocol_is_asked_for(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with _open(url, "chat"):
            pass
    assert refused.value.response.status_code == 403


async def test_text_frames_are_refused(endpoint: Endpoint, url: str) -> None:
    async with _open(url) as socket:
        await socket.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003
    await until(lambda: not endpoint.server.registry.open)


async def test_broken_packets_end_the_socket(endpoint: Endpoint, url: str) -> None:
    async with _open(url) as socket:
        await socket.send(wire.connect(5, password=TOKEN) + b"\x00\x00")
        answer = await _bytes(socket, 20)
        assert b"\xe0" in answer
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_socket_that_breaks_is_a_lost_connection(endpoint: Endpoint, url: str) -> None:
    async with _open(url) as socket:
        await socket.send(wire.connect(4, password=TOKEN, will=(TOPIC, b'{"payload":{"n":1}}', 1)))
        await _bytes(socket, 4)
        socket.transport.abort()
    await until(lambda: endpoint.stored() == [{"n": 1}])


async def test_revocation_and_silence_end_the_socket(endpoint: Endpoint, url: str) -> None:
    async with _open(url) as socket, _open(url) as silent:
        await socket.send(wire.connect(5, password=TOKEN))
        await _bytes(socket, 5)
        for session in endpoint.server.registry.open:
            if not session.accepted:
                session.silence_limit_s = 0.1
        with pytest.raises(ConnectionClosed):
            await silent.recv()
        endpoint.bus.publish("device.deleted", {"device_id": 7, "organization_id": 3})
        assert (await _bytes(socket, 3))[2] == 0x87
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_slow_socket_is_not_read_either(endpoint: Endpoint, url: str) -> None:
    """Its own back-pressure: what it doesn't take is dropped for it alone."""
    narrow = narrow_socket(urlsplit(url).port or 0)
    async with _open(url, sock=narrow) as socket:
        await socket.send(wire.connect(4, user_name="a", password="head.claims.signature"))
        await _bytes(socket, 4)
        await socket.send(wire.subscribe("devices/7/telemetry"))
        await _bytes(socket, 5)
        socket.transport.pause_reading()
        device = await endpoint.device()
        body = b'{"event_type":"noise","payload":{"text":"%s"}}' % (b"x" * 12_000)
        count = 0
        while not endpoint.server._subscriptions.dropped:
            count += 1
            assert count < 3000
            await device.send(wire.publish(TOPIC, body))
            assert (await device.receive()).kind == 4
        socket.transport.resume_reading()
        await _bytes(socket, 10_000)
        socket.transport.abort()


async def test_shutdown_says_goodbye(endpoint: Endpoint, url: str) -> None:
    async with _open(url) as socket:
        await socket.send(wire.connect(5, password=TOKEN))
        await _bytes(socket, 5)
        await endpoint.server.stop()
        assert (await _bytes(socket, 3))[2] == 0x8B
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_web_server_that_goes_down_is_nobodys_absence(
    endpoint: Endpoint, web: uvicorn.Server, url: str
) -> None:
    """It closes its sockets before the endpoint hears of the end."""
    async with _open(url) as socket, _open(url) as other:
        will = (TOPIC, b'{"payload":{"n":1}}', 1)
        await socket.send(wire.connect(5, password=TOKEN, will=will))
        await _bytes(socket, 5)
        await other.send(wire.connect(5, "other", password=TOKEN))
        await _bytes(other, 5)
        # A client that says the same of itself is just gone.
        await other.close(1012, "restart")
        await until(lambda: len(endpoint.notes.presence) == 3)
        web.should_exit = True
        await socket.wait_closed()
        await until(lambda: not endpoint.server.registry.open)
    assert [note[0] for note in endpoint.notes.presence] == ["connected", "connected", "disconnected"]
    assert endpoint.stored() == []
