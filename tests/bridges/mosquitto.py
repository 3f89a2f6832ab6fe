"""A real Mosquitto as a child process, which a test may stop, kill and start again."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.postgres_cluster import free_port
from tests.waiting import wait_until

_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))


class Mosquitto:
    """What clients have not acknowledged outlives a stop, since it is written down then."""

    def __init__(
        self, folder: Path, *, users: dict[str, str] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/"]
        lines += ["max_queued_messages 0", "max_inflight_messages 200"]
        if os.getuid() == 0:
            lines.append("user root")
        if tls is not None:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        if users:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            for name, password in users.items():
                command = [_program("mosquitto_passwd"), "-b", str(passwords), name, password]
                subprocess.run(command, check=True, capture_output=True)
            lines += [f"password_file {passwords}", "allow_anonymous false"]
        else:
            lines.append("allow_anonymous true")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        """What a bridge is given."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> "Mosquitto":
        """Return when it takes connections."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("mosquitto"), "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        wait_until(lambda: _answers(self.port), what="Mosquitto")
        return self

    def stop(self) -> None:
        """As a restart of the machine does it: it writes down what it has first."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None


class Maker:
    """Whoever has devices at the broker, or Home Assistant: publishes and listens."""

    def __init__(self, broker: Mosquitto, user: str | None = None, password: str | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        """Topic and payload of every message, in order."""
        self.kept: dict[str, bytes] = {}
        """The newest payload of each topic."""
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        wait_until(self._client.is_connected, what="The connection to Mosquitto")

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def say_at_once(self, topic: str, payloads: list[str]) -> None:
        """Publish many with QoS 1 and wait until the broker has them all."""
        for said in [self._client.publish(topic, payload, qos=1) for payload in payloads]:
            said.wait_for_publish(10)

    def listen(self, *filters: str) -> "Maker":
        """Hear what comes from now on, and first what is retained."""
        granted: list[object] = []
        self._client.on_subscribe = lambda *_: granted.append(None)
        self._client.subscribe([(one, 1) for one in filters])
        wait_until(lambda: granted, what="SUBACK")
        return self

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
        self.kept[message.topic] = bytes(message.payload)


def _program(name: str) -> str:
    found = shutil.which(name, path=_PLACES)
    assert found, f"{name} was not found: `make test-tools` installs it."
    return found


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
