"""The MQTT 5 connection of a device: telemetry out, tasks and shadow in. Needs `paho-mqtt` (`roost-device[mqtt]`)."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from roost_device.backoff import Backoff
from roost_device.errors import NotNow, Refused
from roost_device.hub import Hub

KEEP_ALIVE_S = 60
ANSWER_TIMEOUT_S = 30.0
_QUOTA_EXCEEDED = 0x97
_BUSY = frozenset({0x80, 0x83, 0x88, 0x89, _QUOTA_EXCEEDED})

_log = logging.getLogger(__name__)

Received = Callable[[str, bytes], None]


class _Delivery:
    """A PUBLISH whose PUBACK is awaited; `reason` is None while it is not there."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.reason: ReasonCode | None = None
        self.detail = ""

    def answer(self, reason: ReasonCode | None, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        self.answered.set()


class MqttConnection:
    """Keeps one connection open, with jittered pauses between tries, and subscribes to `topics` each time.

    `on_message(topic, body)` is called on the connection's thread and must not wait for the connection; topics are
    relative to the device's own (`tasks`). `on_connected()` is called when the subscriptions stand.
    """

    def __init__(
        self,
        hub: Hub,
        device_id: int,
        port: int,
        stopped: threading.Event,
        *,
        topics: list[str],
        on_message: Received,
        on_connected: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._device_id = device_id
        self._port = port
        self._stopped = stopped
        self._topics = topics
        self._on_message = on_message
        self._on_connected = on_connected
        self._prefix = f"devices/{device_id}/"
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._client: Client | None = None
        self._last: Client | None = None
        self._deliveries: dict[int, _Delivery] = {}
        self._refusal = ""

    def run(self) -> None:
        """Until `stopped` is set; call `wake()` then."""
        backoff = Backoff()
        while not self._stopped.is_set():
            client = self._new_client()
            self._ended.clear()
            try:
                client.connect(self._hub.host, self._port, KEEP_ALIVE_S, clean_start=True)
                client.loop_start()
                self._ended.wait()
                client.disconnect()
                client.loop_stop()
            except OSError as error:
                _log.info("The MQTT port %d of %s does not answer: %s", self._port, self._hub.host, error)
            if self._lose(client):
                backoff.reset()
            self._stopped.wait(backoff.pause_s())

    def wake(self) -> None:
        """Let the connection end in good order, so that nobody takes its end for an absence."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()

    def deliver(self, body: bytes) -> None:
        """Publish telemetry and wait for its PUBACK; see sending.Carrier."""
        self.publish("telemetry", body)

    def publish(self, topic: str, body: bytes) -> None:
        """Publish below the device's own topic with QoS 1 and wait for the PUBACK. Raises NotNow, Refused."""
        delivery = _Delivery()
        with self._changed:
            if not self._changed.wait_for(lambda: self._client is not None or self._stopped.is_set(), ANSWER_TIMEOUT_S):
                raise NotNow(self._refusal or "There is no MQTT connection.")
            if self._client is None:
                raise NotNow("The device is being stopped.")
            # Under the lock, so that the answer cannot be looked for before it is awaited.
            sent = self._client.publish(self._prefix + topic, body, qos=1)
            self._deliveries[sent.mid] = delivery
        try:
            if not delivery.answered.wait(ANSWER_TIMEOUT_S):
                raise NotNow("No PUBACK came in time.")
        finally:
            with self._changed:
                self._deliveries.pop(sent.mid, None)
        if delivery.reason is None:
            raise NotNow("The connection ended before the PUBACK.")
        if delivery.reason.is_failure:
            raise _refusal(delivery.reason, delivery.detail)

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"roost-device-{self._device_id}",
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        client.username_pw_set(str(self._device_id), self._hub.token)
        if self._hub.tls is not None:
            client.tls_set_context(self._hub.tls)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._received
        client.on_subscribe = self._subscribed
        return client

    def _connected(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refusal = f"The hub refused the MQTT connection: {reason} {_said(properties)}".rstrip()
            _log.warning("%s", self._refusal)
            self._ended.set()
        elif self._topics:
            client.subscribe([(self._prefix + topic, 1) for topic in self._topics])
        else:
            self._stand(client)

    def _subscribed(
        self, client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic, reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                _log.warning("The hub refused the subscription to %s: %s", topic, reason)
        self._stand(client)

    def _stand(self, client: Client) -> None:
        with self._changed:
            self._client = client
            self._refusal = ""
            self._changed.notify_all()
        self._on_connected()

    def _received(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._on_message(message.topic.removeprefix(self._prefix), bytes(message.payload))

    def _published(
        self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            delivery = self._deliveries.get(mid)
        if delivery is not None:
            delivery.answer(reason, _said(properties))

    def _disconnected(
        self, client: Client, _userdata: Any, _flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not self._stopped.is_set():
            _log.info("The MQTT connection ended: %s %s", reason, _said(properties))
        self._lose(client)
        self._ended.set()

    def _lose(self, client: Client) -> bool:
        """Nobody waits for this connection any more; whether it had stood."""
        with self._changed:
            stood = client is self._client or client is self._last
            self._last = client if stood else None
            if self._client is client:
                self._client = None
                for delivery in self._deliveries.values():
                    delivery.answer(None, "")
        return stood


def _said(properties: Properties | None) -> str:
    return str(getattr(properties, "ReasonString", ""))


def _refusal(reason: ReasonCode, detail: str) -> NotNow | Refused:
    said = detail or str(reason)
    if reason.value in _BUSY:
        return NotNow(said)
    # The statuses of the same refusals over HTTP, so that who sends need not know how it was sent.
    return Refused({0x95: 413, 0x99: 422, 0x87: 403}.get(reason.value, 400), "", said)
