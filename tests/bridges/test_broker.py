"""The connection itself, to a broker that slams the door."""

import asyncio
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from roost.bridges import broker
from roost.bridges.config import BridgeConfig
from roost.core.tasks import end

_ACCEPTED = b"\x20\x02\x00\x00"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def _config(port: int) -> BridgeConfig:
    return BridgeConfig(
        id=1,
        organization_id=1,
        home_id=None,
        name="Barn",
        url=f"mqtt://127.0.0.1:{port}",
        version="3.1.1",
        user_name=None,
        sealed_password=None,
        ca_certificate=None,
        client_id="roost",
        sources=(),
        register_devices=False,
        discovery_prefix=None,
        leaving=False,
        ended_at=None,
        stale_filters=(),
    )


async def _slam(slam_after_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(_ACCEPTED)
    await writer.drain()
    await asyncio.sleep(slam_after_s)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.close()


@pytest.mark.parametrize("slam_after_s", [0, 0.001, 0.002, 0.003])
async def test_a_socket_that_was_reset_is_not_watched_any_more(
    monkeypatch: pytest.MonkeyPatch, slam_after_s: float
) -> None:
    """Its number may be another's by then, whose connection would be disturbed."""
    monkeypatch.setattr(broker, "ANSWER_TIMEOUT_S", 0.2)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    server = await asyncio.start_server(partial(_slam, slam_after_s), "127.0.0.1", 0)

    async def connect_and_speak(port: int) -> None:
        for _ in range(5):
            with suppress(broker.BrokerError):
                async with broker.Broker(_config(port), None, None) as connection:
                    for _ in range(3):
                        await connection.publish("barn", bytes(2_000_000), qos=0)

    async with server:
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(connect_and_speak(port) for _ in range(4)))
    assert complaints == []


async def test_a_connection_that_the_loop_has_given_up_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As uvloop does when the connection fails, before the library closes its socket."""
    loop, left = asyncio.get_running_loop(), asyncio.Event()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(_ACCEPTED)
        while await reader.read(100_000):
            pass
        writer.close()
        await writer.wait_closed()
        left.set()

    def give_up(*_: Any) -> None:
        raise RuntimeError("the handler is closed")

    async def speak_and_listen(port: int) -> None:
        async with broker.Broker(_config(port), None, None) as connection:
            monkeypatch.setattr(loop, "add_writer", give_up)
            speaking = asyncio.create_task(connection.publish("barn", bytes(20_000_000), qos=0))
            try:
                await anext(connection.messages)
            finally:
                await end(speaking)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        with pytest.raises(broker.BrokerError):
            await asyncio.wait_for(speak_and_listen(server.sockets[0].getsockname()[1]), 5)
        await asyncio.wait_for(left.wait(), 5)
    assert complaints == []
