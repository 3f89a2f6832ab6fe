"""Devices that publish over MQTT 3.1.1 with QoS 1, the same for every server that speaks it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

WINDOW = 20
_PUBACK_BYTES = 4


@dataclass(frozen=True)
class Sender:
    """A device: where it publishes, what, and who it is (no name: nobody asks)."""

    topic: str
    messages: Iterator[bytes]
    username: str = ""
    password: str = ""


def publish(port: int, senders: Sequence[Sender]) -> None:
    """All at once, on a connection each, `WINDOW` messages on the way; back when the last is acknowledged."""
    asyncio.run(_publish(port, senders))


async def _publish(port: int, senders: Sequence[Sender]) -> None:
    async with asyncio.TaskGroup() as group:
        for number, sender in enumerate(senders):
            group.create_task(_send(port, number, sender))


async def _send(port: int, number: int, sender: Sender) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_connect(f"peer-{number}", sender))
    greeting = await reader.readexactly(4)
    assert greeting[3] == 0, f"CONNACK code {greeting[3]}"
    packet_id = 0
    while messages := list(islice(sender.messages, WINDOW)):
        packets = []
        for message in messages:
            packet_id = packet_id % 65_535 + 1
            packets.append(_packet(0x32, _text(sender.topic) + packet_id.to_bytes(2, "big") + message))
        writer.write(b"".join(packets))
        answers = await reader.readexactly(_PUBACK_BYTES * len(messages))
        assert answers[::_PUBACK_BYTES] == b"\x40" * len(messages), "The server sent something else than PUBACKs."
    writer.close()
    await writer.wait_closed()


def _connect(client_id: str, sender: Sender) -> bytes:
    named = bool(sender.username)
    variable = _text("MQTT") + bytes([4, 0xC2 if named else 0x02]) + (300).to_bytes(2, "big")
    texts = [client_id, sender.username, sender.password] if named else [client_id]
    return _packet(0x10, variable + b"".join(map(_text, texts)))


def _packet(kind: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([kind]) + digits + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded
