"""Those who listen: live sockets and MQTT subscriptions that stay open, by an access token or by an API token."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from tests.access.matrix.callers import Caller
from tests.access.matrix.mqtt_socket import DISCONNECT, PUBLISH, VERSION, MqttSocket, mqtt_socket
from tests.live.conftest import LiveClient, connect_live
from tests.mqtt import wire

_SCOPES = ["devices:read", "telemetry:read"]


@dataclass(frozen=True)
class Told:
    """A message about a device, or a change of its state."""

    leaf: str
    device_id: int
    text: str


class EndedError(Exception):
    """The hub has ended the connection."""


class Ear(Protocol):
    """Hears of devices."""

    name: str
    leaves: frozenset[str]

    def listen(self) -> Told:
        """The next thing that is told. Raises EndedError."""


class LiveEar:
    """A live socket."""

    def __init__(self, name: str, client: LiveClient, leaf: str) -> None:
        self.name, self.leaves = name, frozenset({leaf})
        self._client = client

    def listen(self) -> Told:
        """The next frame about a device."""
        try:
            while (frame := self._client.receive())["type"] not in self.leaves:
                pass
        except ConnectionClosed:
            raise EndedError from None
        return Told(frame["type"], frame["device_id"], json.dumps(frame))


class MqttEar:
    """A subscription to all that one may see; what was there before it is left out."""

    leaves = frozenset({"telemetry", "status"})

    def __init__(self, name: str, connection: MqttSocket) -> None:
        self.name = name
        self._connection = connection

    def listen(self) -> Told:
        """The next message of a device."""
        while True:
            try:
                packet = self._connection.receive()
            except (EOFError, ConnectionError):
                raise EndedError from None
            if packet.kind == DISCONNECT:
                raise EndedError
            if packet.kind == PUBLISH:
                topic, payload, retained = packet.message(VERSION)
                _, device_id, leaf = topic.split("/")
                if leaf in self.leaves and not retained:
                    return Told(leaf, int(device_id), payload.decode())


@contextmanager
def ears_of(caller: Caller) -> Iterator[list[Ear]]:
    """Every way in which this person may listen, all of them open."""
    script = caller.make("/auth/api-tokens", {"name": "Listener", "scopes": _SCOPES})["token"]
    with ExitStack() as opened:

        def live(name: str, leaf: str, token: str) -> Ear:
            client = opened.enter_context(connect_live(caller.server, f"/api/v1/ws/{name}", token))
            return LiveEar(f"{name} by {token[:4]}", client, leaf)

        def mqtt(token: str) -> Ear:
            connection = opened.enter_context(mqtt_socket(caller.server.mqtt_port))
            name = f"mqtt by {token[:4]}"
            assert connection.ask(wire.connect(VERSION, name, caller.email, token)).reason == 0
            assert connection.ask(wire.subscribe("devices/#", version=VERSION)).body[-1] == 0
            return MqttEar(name, connection)

        yield [
            live("live-data", "telemetry", caller.token),
            live("device-status", "status", caller.token),
            live("live-data", "telemetry", script),
            mqtt(caller.token),
            mqtt(script),
        ]


def heard_until(ear: Ear, word: str) -> set[int]:
    """The devices that are heard of until this word has come in every way in which the ear hears. Raises EndedError."""
    heard, awaited = set(), set(ear.leaves)
    while awaited:
        told = ear.listen()
        heard.add(told.device_id)
        if word in told.text:
            awaited.discard(told.leaf)
    return heard
