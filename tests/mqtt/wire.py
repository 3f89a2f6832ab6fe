"""An MQTT client in raw bytes: written apart from the code under test, and able to be wrong on purpose."""

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Self

TIMEOUT_S = 5.0


def varint(value: int) -> bytes:
    encoded = b""
    while True:
        value, byte = divmod(value, 128)
        encoded += bytes([byte | (0x80 if value else 0)])
        if not value:
            return encoded


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes([first]) + varint(len(body)) + body


def connect(
    version: int = 4,
    client_id: str = "c1",
    user_name: str | bytes | None = "7",
    password: str | bytes | None = None,
    *,
    keep_alive: int = 0,
    clean: bool = True,
    will: tuple[str, bytes, int] | None = None,
    properties: bytes = b"",
    name: bytes = b"MQTT",
    flags: int | None = None,
) -> bytes:
    bits = (0x02 if clean else 0) | (0x80 if user_name is not None else 0) | (0x40 if password is not None else 0)
    body = text(name) + bytes([version])
    tail = text(client_id)
    if will is not None:
        bits |= 0x04 | will[2] << 3
        tail += (b"\x00" if version == 5 else b"") + text(will[0]) + text(will[1])
    tail += b"".join(text(field) for field in (user_name, password) if field is not None)
    body += bytes([bits if flags is None else flags]) + struct.pack(">H", keep_alive)
    if version == 5:
        body += varint(len(properties)) + properties
    return packet(0x10, body + tail)


def publish(
    topic: str | bytes,
    payload: bytes,
    packet_id: int | None = 1,
    *,
    version: int = 4,
    qos: int = 1,
    properties: bytes = b"",
    dup: bool = False,
    retain: bool = False,
) -> bytes:
    body = text(topic)
    if qos:
        body += struct.pack(">H", packet_id or 0)
    if version == 5:
        body += varint(len(properties)) + properties
    return packet(0x30 | dup << 3 | qos << 1 | retain, body + payload)


def subscribe(*filters: str, packet_id: int = 1, version: int = 4, options: int = 0) -> bytes:
    body = struct.pack(">H", packet_id) + (b"\x00" if version == 5 else b"")
    return packet(0x82, body + b"".join(text(one) + bytes([options]) for one in filters))


def unsubscribe(*filters: str, packet_id: int = 1, version: int = 4) -> bytes:
    body = struct.pack(">H", packet_id) + (b"\x00" if version == 5 else b"")
    return packet(0xA2, body + b"".join(text(one) for one in filters))


PING = b"\xc0\x00"
PONG = b"\xd0\x00"
DISCONNECT = b"\xe0\x00"


@dataclass(frozen=True)
class Packet:
    """One packet from the server."""

    first: int
    body: bytes

    @property
    def kind(self) -> int:
        return self.first >> 4

    @property
    def packet_id(self) -> int:
        return int(struct.unpack_from(">H", self.body)[0])

    @property
    def reason(self) -> int:
        """The reason code of a CONNACK, PUBACK (0 when left out) or DISCONNECT."""
        place = {2: 1, 4: 2, 14: 0}[self.kind]
        return self.body[place] if len(self.body) > place else 0

    @property
    def codes(self) -> list[int]:
        """The codes of a SUBACK or UNSUBACK; `body` must be 3.1.1's."""
        return list(self.body[2:])

    def message(self, version: int = 4) -> tuple[str, bytes, bool]:
        """Topic, payload and retain flag of a QoS 0 PUBLISH."""
        size = struct.unpack_from(">H", self.body)[0]
        start = 2 + size + (1 if version == 5 else 0)
        return self.body[2 : 2 + size].decode(), self.body[start:], bool(self.first & 1)


class RawClient:
    """A socket that speaks in packets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open_narrow(cls, port: int) -> Self:
        """A connection with next to no buffers in the kernel."""
        return cls(*await asyncio.open_connection(sock=narrow_socket(port), limit=4096))

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context))

    async def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))
        await self.writer.drain()

    async def receive(self) -> Packet:
        """The next packet; IncompleteReadError when the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            first = (await self.reader.readexactly(1))[0]
            length, shift = 0, 0
            while True:
                byte = (await self.reader.readexactly(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    return Packet(first, await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, which has to come soon."""
        async with asyncio.timeout(TIMEOUT_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def sign_in(self, token: str, version: int = 4, **fields: object) -> Packet:
        """CONNECT and return the CONNACK."""
        await self.send(connect(version, password=token, **fields))  # type: ignore[arg-type]
        return await self.receive()

    async def close(self) -> None:
        """Drop the connection without a word."""
        self.writer.transport.abort()
        try:
            await self.writer.wait_closed()
        except OSError:
            return


def narrow_socket(port: int) -> socket.socket:
    """A connected socket that takes little before the other side has to wait."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    return one
