"""Knocking at the live sockets and at MQTT over TCP and WebSocket; what comes back is told in the table's words."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.access.matrix.callers import Caller
from tests.access.matrix.world import World
from tests.mqtt import wire

_REASONS = {0x00: "ok", 0x01: "ok", 0x86: "401", 0x87: "403"}
_PAYLOADS: dict[str, object] = {
    "events": {"event_type": "count", "payload": {"n": 1}},
    "readings": {"readings": [{"sensor_type": "n", "value": 1}]},
    "status": {"status": "online"},
    "logs": {"message": "Warm here."},
}
_TIMEOUT_S = 10.0
_CONNACK, _PUBACK, _SUBACK = 2, 4, 9


def open_socket(world: World, caller: Caller, path: str) -> str:
    """Connect to the WebSocket as this caller."""
    return _open_mqtt(world, caller) if path == "/mqtt" else _open_live(world, caller, path)


def _open_live(world: World, caller: Caller, path: str) -> str:
    url = f"{world.server.url}/api/v1{path}?device_id={world.ids['device_id']}".replace("http", "ws", 1)
    with connect(url, proxy=None) as connection:
        connection.send(json.dumps({"type": "authenticate", "token": caller.token or "nobody"}))
        try:
            assert json.loads(connection.recv(timeout=_TIMEOUT_S)) == {"type": "ready"}
        except ConnectionClosed as closed:
            return str(closed.rcvd.code - 4000) if closed.rcvd is not None else "broken off"
        return "ok"


def _open_mqtt(world: World, caller: Caller) -> str:
    url = world.server.url.replace("http", "ws", 1) + "/mqtt"
    with connect(url, proxy=None, subprotocols=["mqtt"]) as connection:  # type: ignore[list-item]
        connection.send(_hello(caller))
        answer = connection.recv(timeout=_TIMEOUT_S)
    assert isinstance(answer, bytes)
    return _REASONS[answer[3]]


def _hello(caller: Caller) -> bytes:
    # A device that is nobody's has no user name either.
    name = str(caller.device_id or caller.email or "nobody")
    return wire.connect(5, f"matrix-{caller.name}", name, caller.token or "nothing")


def speak_mqtt(caller: Caller, packet: str, topic: str) -> str:
    """Connect as this caller, and PUBLISH (with QoS 1) to the topic or SUBSCRIBE to it."""
    with _connection(caller.server.mqtt_port) as receive_after:
        entered = receive_after(_hello(caller))
        if entered[1] != 0:
            return _REASONS[entered[1]]
        if packet == "SUBSCRIBE":
            granted = receive_after(wire.subscribe(topic, version=5))
            return _REASONS[granted[-1]]
        payload = json.dumps(_PAYLOADS.get(topic.rpartition("/")[2], {"n": 1}))
        acknowledged = receive_after(wire.publish(topic, payload.encode(), version=5))
        return _REASONS[acknowledged[2] if len(acknowledged) > 2 else 0]


@contextmanager
def _connection(port: int) -> Iterator[Callable[[bytes], bytes]]:
    """A function that sends a packet and returns the body of the answer to it."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection,
        connection.makefile("rb") as file,
    ):

        def receive() -> tuple[int, bytes]:
            kind, size, shift = file.read(1)[0] >> 4, 0, 0
            while True:
                byte = file.read(1)[0]
                size |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    return kind, file.read(size)

        def receive_after(packet: bytes) -> bytes:
            connection.sendall(packet)
            while True:
                kind, body = receive()
                if kind in {_CONNACK, _PUBACK, _SUBACK}:
                    return body

        yield receive_after
