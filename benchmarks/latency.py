"""One device and one watcher: how long a published value takes to reach an open WebSocket."""

import asyncio
import json
import time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.server import Credential, Owner
from tests.roost_server import RoostServer
from tests.waiting import until

_INTERVAL_S = 0.02
_TOPIC = b"devices/me/telemetry"


def measure_latency(server: RoostServer, owner: Owner, probe: Credential, duration_s: float) -> dict[str, Any]:
    """Publish every 20 ms for `duration_s` and return the percentiles in milliseconds."""
    return asyncio.run(_measure(server, owner, probe, duration_s))


async def _measure(server: RoostServer, owner: Owner, probe: Credential, duration_s: float) -> dict[str, Any]:
    address = f"ws://127.0.0.1:{server.port}/api/v1/ws/live-data?device_id={probe.device_id}"
    sent_at: dict[int, float] = {}
    latencies: list[float] = []
    async with connect(address) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": owner.access_token}))
        await _until_ready(socket)
        watching = asyncio.create_task(_watch(socket, sent_at, latencies))
        await _publish(server.mqtt_port, probe, sent_at, duration_s)
        await until(lambda: len(latencies) == len(sent_at), timeout_s=10, what="A frame for every message")
        watching.cancel()
    latencies.sort()
    return {
        "frames": len(latencies),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
        "max_ms": round(latencies[-1] * 1000, 2),
    }


async def _until_ready(socket: ClientConnection) -> None:
    async with asyncio.timeout(10):
        while json.loads(await socket.recv())["type"] != "ready":
            pass


async def _watch(socket: ClientConnection, sent_at: dict[int, float], latencies: list[float]) -> None:
    async for text in socket:
        arrived = time.perf_counter()
        frame = json.loads(text)
        if frame["type"] == "telemetry":
            latencies.append(arrived - sent_at[frame["readings"][0]["value"]])


async def _publish(port: int, probe: Credential, sent_at: dict[int, float], duration_s: float) -> None:
    """A device of its own, in plain bytes, so that no client library's thread stands between it and the clock."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    user, password = str(probe.device_id).encode(), probe.token.encode()
    body = _text(b"MQTT") + b"\x04\xc2\x00\x3c" + _text(b"probe") + _text(user) + _text(password)
    writer.write(bytes([0x10, len(body)]) + body)
    greeting = await reader.readexactly(4)
    assert greeting[3] == 0, f"CONNACK code {greeting[3]}"
    try:
        start = time.perf_counter()
        for number in range(1, int(duration_s / _INTERVAL_S) + 1):
            await asyncio.sleep(max(0, start + number * _INTERVAL_S - time.perf_counter()))
            packet_id = number % 65535 + 1
            packet = _text(_TOPIC) + packet_id.to_bytes(2, "big") + b'{"payload":{"probe":%d}}' % number
            sent_at[number] = time.perf_counter()
            writer.write(bytes([0x32, len(packet)]) + packet)
            acknowledgement = await reader.readexactly(4)
            assert acknowledgement == b"\x40\x02" + packet_id.to_bytes(2, "big")
    finally:
        writer.close()
        await writer.wait_closed()


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value
