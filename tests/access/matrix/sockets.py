"""Knocking at the live sockets and at MQTT over TCP and WebSocket; what comes back is told in the table's words."""

import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.access.matrix.callers import Caller
from tests.access.matrix.mqtt_socket import VERSION, mqtt_socket
from tests.access.matrix.world import World
from tests.mqtt import wire

_REASONS = {0x00: "ok", 0x01: "ok", 0x86: "401", 0x87: "403"}
_PAYLOADS: dict[str, object] = {
    "events": {"event_type": "count", "payload": {"n": 1}},
    "readings": {"readings": [{"sensor_type": "n", "value": 1}]},
    "status": {"status": "online"},
    "logs": {"message": "Warm here."},
    "progress": {"percent": 50},
    "complete": {"status": "done"},
}
_TIMEOUT_S = 10.0


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
    return wire.connect(VERSION, f"matrix-{caller.name}", name, caller.token or "nothing")


def speak_mqtt(caller: Caller, packet: str, topic: str) -> str:
    """Connect as this caller, and PUBLISH (with QoS 1) to the topic or SUBSCRIBE to it."""
    with mqtt_socket(caller.server.mqtt_port) as connection:
        entered = connection.ask(_hello(caller)).reason
        if entered != 0:
            return _REASONS[entered]
        if packet == "SUBSCRIBE":
            return _REASONS[connection.ask(wire.subscribe(topic, version=VERSION)).body[-1]]
        payload = json.dumps(_PAYLOADS.get(topic.rpartition("/")[2], {"n": 1}))
        return _REASONS[connection.ask(wire.publish(topic, payload.encode(), version=VERSION)).reason]
