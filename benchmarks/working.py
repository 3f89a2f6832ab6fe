"""Devices that work: MQTT clients that do what comes, and keep-alive HTTP connections; plain bytes, no library."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.server import Credential

_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
_CONNECTING_AT_ONCE = 200
_TIMEOUT_S = 60.0
_DONE = json.dumps({"status": "done"}).encode()


class Worker(asyncio.Protocol):
    """A device that completes at once what comes; `told` hears that a task came, and that it ended."""

    def __init__(self, device: Credential, told: Callable[[str, int], None]) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._device = device
        self._told = told
        self._rest = b""
        self._packet_id = 0
        self._working: dict[int, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name, password = str(self._device.device_id).encode(), self._device.token.encode()
        body = _text(b"MQTT") + b"\x04\xc2\x00\x00" + _text(b"worker") + _text(name) + _text(password)
        subscribe = b"\x00\x01" + _text(b"devices/me/tasks") + b"\x00"
        transport.write(_packet(0x10, body) + _packet(0x82, subscribe))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("The hub closed the connection."))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while (packet := _next_packet(data)) is not None:
            first, body, data = packet
            self._take(first >> 4, body)
        self._rest = data

    def close(self) -> None:
        self._transport.abort()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == _CONNACK:
            assert body[1] == 0, f"CONNACK code {body[1]}"
        elif kind == _SUBACK:
            self.ready.set_result(None)
        elif kind == _PUBLISH:
            task_id = json.loads(body[2 + int.from_bytes(body[:2], "big") :])["id"]
            self._told("came", task_id)
            self._packet_id = self._packet_id % 65_535 + 1
            self._working[self._packet_id] = task_id
            topic = _text(b"devices/me/tasks/%d/complete" % task_id)
            self._transport.write(_packet(0x32, topic + self._packet_id.to_bytes(2, "big") + _DONE))
        elif kind == _PUBACK:
            self._told("ended", self._working.pop(int.from_bytes(body, "big")))


async def connect_workers(port: int, devices: Sequence[Credential], told: Callable[[str, int], None]) -> list[Worker]:
    """All of them connected and subscribed."""
    workers: list[Worker] = []
    loop = asyncio.get_running_loop()
    for start in range(0, len(devices), _CONNECTING_AT_ONCE):
        some = devices[start : start + _CONNECTING_AT_ONCE]
        made = await asyncio.gather(
            *(loop.create_connection(lambda device=one: Worker(device, told), "127.0.0.1", port) for one in some)  # type: ignore[misc]
        )
        workers += [worker for _, worker in made]
        async with asyncio.timeout(_TIMEOUT_S):
            await asyncio.gather(*(worker.ready for _, worker in made))
    return workers


class Http:
    """One keep-alive connection."""

    def __init__(self, port: int, header: str) -> None:
        self._port, self._header = port, header

    async def open(self) -> "Http":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    def close(self) -> None:
        self._writer.close()

    async def post(self, path: str, body: Any = None) -> Any:
        """The answer's JSON; any status but 2xx is an error."""
        return await self._ask("POST", path, b"" if body is None else json.dumps(body).encode())

    async def get(self, path: str) -> Any:
        """Likewise."""
        return await self._ask("GET", path, b"")

    async def _ask(self, method: str, path: str, body: bytes) -> Any:
        head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: hub\r\n{self._header}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        content = await self._reader.readexactly(length)
        assert answer.split(" ", 2)[1].startswith("2"), answer + content.decode()
        return json.loads(content)


def now() -> float:
    """Seconds for durations."""
    return time.perf_counter()


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _packet(first: int, body: bytes) -> bytes:
    length, left = b"", len(body)
    while True:
        left, byte = divmod(left, 128)
        length += bytes([byte | (0x80 if left else 0)])
        if not left:
            return bytes([first]) + length + body


def _next_packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first packet and the rest; None while it has not come completely."""
    size = 0
    for place in range(1, min(len(data), 5)):
        size |= (data[place] & 0x7F) << 7 * (place - 1)
        if not data[place] & 0x80:
            stop = place + 1 + size
            return (data[0], data[place + 1 : stop], data[stop:]) if len(data) >= stop else None
    return None
