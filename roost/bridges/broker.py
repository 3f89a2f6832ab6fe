"""The connection to another broker, on top of aiomqtt. Loaded with the first bridge that is to run."""

import asyncio
import logging
import math
import socket
import ssl
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from roost.bridges.broker_topics import availability_topic
from roost.bridges.config import BridgeConfig

# A broker that is away is no error of the hub's; the bridge's owner is told.
_client_log = logging.getLogger(f"{__name__}.client")
_client_log.setLevel(logging.CRITICAL)

BrokerError = aiomqtt.MqttError
"""What every call raises when the broker is away, refuses, or does not answer in time."""

KEEP_ALIVE_S = 30
ANSWER_TIMEOUT_S = 10.0
# So many messages may wait for their acknowledgement; brokers that speak 3.1.1 have a number of their own.
RECEIVE_MAXIMUM = 500
# How long an MQTT 5 broker keeps what comes while the hub is away.
SESSION_EXPIRY_S = 7 * 24 * 3600
# Of messages that nobody acknowledges, more than these in memory are dropped, as they may be anywhere on their way.
WAITING_LIMIT = 10_000


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """Takes every message that the broker sends again unless it is acknowledged; of others only so many."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if item.qos or self.qsize() < WAITING_LIMIT:
            super().put_nowait(item)


class _TidySocket(ssl.SSLSocket):
    """Closes when the broker turns out to be another; the library below lets go of it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Broker(aiomqtt.Client):
    """One connection in the bridge's session. Messages are acknowledged by whoever took them, and not before."""

    def __init__(self, config: BridgeConfig, password: str | None, tls: ssl.SSLContext | None) -> None:
        host, port = config.address
        self.is_v5 = config.version == "5"
        options: dict[str, Any] = {"clean_session": False}
        if self.is_v5:
            terms = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            terms.SessionExpiryInterval = SESSION_EXPIRY_S
            terms.ReceiveMaximum = RECEIVE_MAXIMUM
            options = {"clean_start": False, "properties": terms}
        super().__init__(
            host,
            port,
            identifier=config.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if self.is_v5 else aiomqtt.ProtocolVersion.V311,
            username=config.user_name,
            password=password,
            will=aiomqtt.Will(availability_topic(config.client_id), b"offline", 1, retain=True)
            if config.discovery_prefix
            else None,
            keepalive=KEEP_ALIVE_S,
            timeout=ANSWER_TIMEOUT_S,
            tls_context=tls,
            queue_type=_Inbox,
            logger=_client_log,
            **options,
        )
        self.pending_calls_threshold = math.inf  # type: ignore[assignment] # it only warns, and many are meant
        self._client.manual_ack_set(True)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        def watch() -> None:
            if sock.fileno() >= 0:
                super(Broker, self)._on_socket_open(client, userdata, sock)

        self._loop.call_soon_threadsafe(watch)

    def _on_socket_register_write(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        """As the library below, which would also watch a socket that is closed by now and its number another's."""

        def write() -> None:
            try:
                client.loop_write()
            except OSError as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def watch() -> None:
            if sock.fileno() < 0 or not client.want_write():
                return
            try:
                self._loop.add_writer(sock.fileno(), write)
            except RuntimeError:
                # The connection has failed, which uvloop knows before the library below, which finds out by writing.
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                write()

        self._loop.call_soon_threadsafe(watch)

    async def __aenter__(self) -> Self:
        """Connect. Raises BrokerError, also when the broker has accepted and gone before anybody looked."""
        ended = self._disconnected
        try:
            await super().__aenter__()
        finally:
            failure = _failure(ended)
        if failure is not None:
            await super().__aexit__(None, None, None)
            raise failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, traceback)
        finally:
            # Whoever left before the connection broke has not asked why it did.
            _failure(self._disconnected)

    def acknowledge(self, packet_id: int) -> None:
        """Tell the broker that the message is safe. A connection that is gone makes no difference: it comes again."""
        self._client.ack(packet_id, 1)

    def next_waiting(self) -> aiomqtt.Message | None:
        """A message that is here already: for those no task is needed, which costs more than all the rest."""
        return None if self._queue.empty() else self._queue.get_nowait()

    async def listen(self, topic_filter: str) -> None:
        """Subscribe with QoS 1. Raises BrokerError, also when the broker does not grant it."""
        if self.is_v5:
            # Nothing of what the hub says itself, and what was retained only with a new subscription.
            codes = await self.subscribe(topic_filter, options=SubscribeOptions(qos=1, noLocal=True, retainHandling=1))
        else:
            codes = await self.subscribe(topic_filter, qos=1)
        code = codes[0]
        if (code if isinstance(code, int) else code.value) >= 0x80:
            raise BrokerError(f"the broker does not let the hub subscribe to {topic_filter!r}")

    async def keep(self, topic: str, payload: bytes) -> None:
        """Publish as retained and return when the broker has it; an empty payload forgets. Raises BrokerError."""
        await self.publish(topic, payload, qos=1, retain=True)


def _failure(ended: asyncio.Future[None]) -> BaseException | None:
    return ended.exception() if ended.done() and not ended.cancelled() else None


def tls_context(config: BridgeConfig) -> ssl.SSLContext | None:
    """Checks the broker's certificate against the bridge's own authority, or the public ones. Reads files."""
    if not config.tls:
        return None
    context = ssl.create_default_context(cadata=config.ca_certificate)
    context.sslsocket_class = _TidySocket
    return context
