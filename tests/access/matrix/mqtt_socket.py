"""MQTT 5 on a plain blocking socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tests.mqtt import wire

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 2, 3, 4, 9, 14
VERSION = 5
_TIMEOUT_S = 10.0


class MqttSocket:
    """One connection to the hub's MQTT port."""

    def __init__(self, connection: socket.socket, file: BinaryIO) -> None:
        self._connection, self._file = connection, file

    def ask(self, packet: bytes) -> wire.Packet:
        """Send, and return the acknowledgement, whatever else comes before it. Raises EOFError."""
        self._connection.sendall(packet)
        while (answer := self.receive()).kind not in {CONNACK, PUBACK, SUBACK}:
            pass
        return answer

    def receive(self) -> wire.Packet:
        """The next packet. Raises EOFError when the hub has ended the connection."""
        first, size, shift = self._byte(), 0, 0
        while True:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return wire.Packet(first, self._file.read(size))

    def _byte(self) -> int:
        read = self._file.read(1)
        if not read:
            raise EOFError
        return read[0]


@contextmanager
def mqtt_socket(port: int) -> Iterator[MqttSocket]:
    """Connect to the port."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    with opened as connection, connection.makefile("rb") as file:
        yield MqttSocket(connection, file)
