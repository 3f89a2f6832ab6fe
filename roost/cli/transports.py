"""How a simulated device reaches the hub: real sockets, MQTT 5 or HTTP, one message at a time with its answer."""

import asyncio
import contextlib
import ssl
import struct
from typing import Protocol

import httpx2

from roost.mqtt.codec import CONNACK, PUBACK, V5, read_length
from roost.mqtt.properties import Property, Reader, encode_text, encode_varint, read_properties

ANSWER_TIMEOUT_S = 30.0
KEEP_ALIVE_S = 60
CONNECT_FLAGS = 0xC2  # user name, password, clean start
PUBLISH_QOS1 = 0x32
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
EVERY_PROPERTY = frozenset(Property)
FIRST_FAILURE = 0x80


class NotConnected(Exception):  # noqa: N818 - a state of the line, not a mistake
    """The hub cannot be reached, or has ended the connection. Nothing says that it has the message."""


class Transport(Protocol):
    """One device's way to the hub."""

    async def connect(self) -> None:
        """Open the way. Raises NotConnected."""

    async def send(self, body: bytes) -> str | None:
        """Send one message and wait for its answer: None when it is stored, else why not. Raises NotConnected."""

    async def close(self) -> None:
        """Leave in good order."""


class HttpTransport:
    """POST /telemetry on a kept-alive connection."""

    def __init__(self, client: httpx2.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {"X-Device-Token": token, "Content-Type": "application/json"}

    async def connect(self) -> None:
        """HTTP connects when it sends."""

    async def send(self, body: bytes) -> str | None:
        """Send one message; see Transport."""
        try:
            answer = await self._client.post("/telemetry", content=body, headers=self._headers)
        except httpx2.HTTPError as error:
            raise NotConnected(f"{type(error).__name__}: {error}") from error
        if answer.status_code in {201, 202}:
            return None
        return f"{answer.status_code} {problem_detail(answer)}"

    async def close(self) -> None:
        """The shared client is closed by its owner."""


class MqttTransport:
    """QoS 1 PUBLISHes on an MQTT 5 connection, the next one after the PUBACK of the last."""

    def __init__(self, host: str, port: int, device_id: int, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._device_id = device_id
        self._token = token
        self._tls = tls
        self._topic = encode_text(f"devices/{device_id}/telemetry")
        self._packet_id = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._keep_alive: asyncio.Task[None] | None = None
        self._answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._receiver: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect and sign in with the device's id and token. Raises NotConnected."""
        await self.close()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                self._writer.write(self._connect_packet())
                kind, body = await _read_packet(self._reader)
        except (OSError, EOFError, TimeoutError) as error:
            raise NotConnected(f"The MQTT port {self._port} does not answer: {error}") from error
        if kind != CONNACK or len(body) < 2:
            raise NotConnected("The MQTT port answers, but not with a CONNACK.")
        if body[1]:
            raise NotConnected(f"The hub refused the connection: {_reason(body[1], Reader(body, 2))}.")
        self._answers = asyncio.Queue()
        self._receiver = asyncio.create_task(self._receive(), name="simulate-mqtt-receive")
        self._keep_alive = asyncio.create_task(self._ping(), name="simulate-mqtt-ping")

    async def send(self, body: bytes) -> str | None:
        """Publish one message; see Transport."""
        if self._writer is None or self._receiver is None or self._receiver.done():
            raise NotConnected("The hub has ended the connection.")
        self._packet_id = self._packet_id % 65_535 + 1
        content = self._topic + struct.pack(">H", self._packet_id) + b"\x00" + body
        self._writer.write(bytes((PUBLISH_QOS1,)) + encode_varint(len(content)) + content)
        answer = asyncio.create_task(self._answers.get())
        try:
            done, _ = await asyncio.wait(
                {answer, self._receiver}, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if answer not in done:
                raise NotConnected("The connection ended before the PUBACK." if done else "No PUBACK came in time.")
            packet_id, rest = answer.result()
        finally:
            answer.cancel()
        if packet_id != self._packet_id:
            raise NotConnected("A PUBACK came for another message.")
        if rest and rest[0] >= FIRST_FAILURE:
            return _reason(rest[0], Reader(rest, 1))
        return None

    async def close(self) -> None:
        """Say DISCONNECT and end the tasks of this connection."""
        for task in (self._keep_alive, self._receiver):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._keep_alive = self._receiver = None
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.write(DISCONNECT_PACKET)
                writer.close()
                await writer.wait_closed()

    def _connect_packet(self) -> bytes:
        body = (
            encode_text("MQTT")
            + bytes((V5, CONNECT_FLAGS))
            + struct.pack(">H", KEEP_ALIVE_S)
            + b"\x00"
            + encode_text(f"simulated-{self._device_id}")
            + encode_text(str(self._device_id))
            + encode_text(self._token)
        )
        return b"\x10" + encode_varint(len(body)) + body

    async def _receive(self) -> None:
        reader = self._reader
        if reader is None:
            return
        with contextlib.suppress(OSError, EOFError):
            while True:
                kind, body = await _read_packet(reader)
                if kind == PUBACK:
                    self._answers.put_nowait((int.from_bytes(body[:2], "big"), body[2:]))

    async def _ping(self) -> None:
        while self._writer is not None:
            await asyncio.sleep(KEEP_ALIVE_S / 2)
            self._writer.write(PINGREQ_PACKET)


def problem_detail(answer: httpx2.Response) -> str:
    """The sentence of a problem answer, or the status in words."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
    return str(detail)


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(2)
    while True:
        length, after = read_length(head, 1, len(head))
        if length >= 0:
            break
        head += await reader.readexactly(1)
    return head[0] >> 4, head[after:] + await reader.readexactly(length)


def _reason(code: int, reader: Reader) -> str:
    detail = None
    if not reader.done():
        detail = read_properties(reader, EVERY_PROPERTY).get(Property.REASON_STRING)
    return f"0x{code:02X} {detail}" if isinstance(detail, str) else f"0x{code:02X}"
