"""What the packets of one connection mean: from CONNECT to its end."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from roost.access.principals import UserPrincipal
from roost.devices.identity import DeviceIdentity
from roost.devices.presence_record import Cause
from roost.mqtt import codec
from roost.mqtt.authentication import Authentication
from roost.mqtt.connection import (
    ENDED,
    PACKET_LIMIT_BYTES,
    RECEIVE_MAXIMUM,
    WAITING,
    Connection,
)
from roost.mqtt.ports import Auditor, Intake, PresenceBook, Wire
from roost.mqtt.properties import Property, encode_properties
from roost.mqtt.reasons import Reason, SignInError, malformed, violation
from roost.telemetry.refusals import Refusal

TOPIC_ALIAS_MAXIMUM = 16
# A device that asks for no keep-alive, or a longer one, gets this in MQTT 5; with 3.1.1 TCP has to notice.
LONGEST_KEEP_ALIVE_S = 1200
LONGEST_CLIENT_ID = 256
BACK_OFF_S = 5
CONNECT_TIMEOUT_S = 10.0
# For a connection that we ended and the client does not close.
LINGER_S = 2.0
_LOST = "The connection was lost."
# What a 3.1.1 server says before it closes a connection that it doesn't let in; about broken packets it says nothing.
_SAID_311 = frozenset(
    {
        Reason.UNSUPPORTED_VERSION,
        Reason.CLIENT_ID_NOT_VALID,
        Reason.BAD_USER_NAME_OR_PASSWORD,
        Reason.NOT_AUTHORIZED,
        Reason.SERVER_UNAVAILABLE,
        Reason.SERVER_BUSY,
        Reason.QUOTA_EXCEEDED,
        Reason.CONNECTION_RATE_EXCEEDED,
    }
)


class Publishing(Protocol):
    def publish(self, session: "Session", flags: int, body: bytes) -> None: ...

    def oversized(self, session: "Session", flags: int, start: bytes) -> None: ...

    def refused(self, session: "Session", token: int | None, refusal: Refusal) -> None: ...


class Subscribing(Protocol):
    def subscribe(self, session: "Session", flags: int, body: bytes) -> None: ...

    def unsubscribe(self, session: "Session", flags: int, body: bytes) -> None: ...


class Hub(Protocol):
    """What a session needs to know of the server around it."""

    intake: Intake
    authentication: Authentication
    presence: PresenceBook
    audit: Auditor
    publishing: Publishing
    subscribing: Subscribing

    def now_ms(self) -> int: ...

    def run(self, work: Coroutine[Any, Any, None]) -> object:
        """Runs something that a session waits for, beside the others."""

    def opened(self, session: "Session") -> None: ...

    def enter(self, session: "Session") -> None:
        """The client is known: presence, take-over. Raises SignInError when it has too many connections."""

    def closed(self, session: "Session") -> None: ...


class Session(Connection):
    """One client, device or user."""

    __slots__ = (
        "accepted",
        "aliases",
        "cause",
        "changes",
        "client_id",
        "dropped",
        "filters",
        "heard_at",
        "hub",
        "looked",
        "moved",
        "outcome",
        "peer_limit",
        "reaches",
        "restarting",
        "silence_limit_s",
        "token",
        "user",
        "wants_reasons",
        "will",
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub.intake)
        self.hub = hub
        self.accepted = False
        self.client_id = ""
        self.user: UserPrincipal | None = None
        # A user's access token, which is checked again while the connection stands.
        self.token = ""
        self.will: codec.Will | None = None
        self.aliases: dict[int, str] | None = None
        # Topic filters, each with what listens there.
        self.filters: dict[str, Any] | None = None
        # How often the user's grants have changed, and how often they had when they were last looked at: until they
        # are looked at again, nothing is sent.
        self.changes = self.looked = 0
        # Which (scope, organization, home) the user may read, as far as asked.
        self.reaches: dict[tuple[str, int, int | None], bool] | None = None
        self.peer_limit = codec.MAX_PACKET_SIZE
        self.wants_reasons = True
        self.dropped = 0
        # Kept by the server's sweep, in its clock; 0 as a limit means for ever.
        self.heard_at = 0.0
        self.silence_limit_s = CONNECT_TIMEOUT_S
        # Whether it ends because the hub does.
        self.restarting = False
        # The same client is connected to another process, which speaks for its presence now.
        self.moved = False
        # Why the connection ended, as a sentence for the device's owner.
        self.outcome = _LOST
        self.cause: Cause = "lost"

    def connection_made(self, transport: asyncio.BaseTransport | Wire) -> None:
        """The wire is there; nothing is known of the client yet."""
        self.wire = cast("Wire", transport)
        self.hub.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why the socket failed helps nobody
        """The wire is gone."""
        self.stopped |= ENDED
        self.rest = None
        self.held = None
        self.hub.closed(self)

    @property
    def in_doubt(self) -> bool:
        """Whether the user's grants have changed and nobody has looked at them yet."""
        return self.changes != self.looked

    @property
    def address(self) -> str:
        """Where the client connects from."""
        peer = self.wire.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    # -- packets

    def handle(self, first: int, body: bytes) -> None:
        """One packet that is not a repetition of the last PUBLISH."""
        kind, flags = first >> 4, first & 0x0F
        if not self.accepted:
            if kind != codec.CONNECT or self.version:
                raise violation("The first packet must be CONNECT.")
            self._connect(flags, body)
        elif kind == codec.PUBLISH:
            self.hub.publishing.publish(self, flags, body)
        elif kind == codec.PINGREQ:
            self._ping(flags, body)
        elif kind == codec.SUBSCRIBE:
            self.hub.subscribing.subscribe(self, flags, body)
        elif kind == codec.UNSUBSCRIBE:
            self.hub.subscribing.unsubscribe(self, flags, body)
        elif kind == codec.DISCONNECT:
            self._disconnect(flags, body)
        elif kind == 0:
            raise malformed("There is no packet type 0.")
        else:
            raise violation(f"A packet of type {kind} is not expected from a client here.")

    def handle_oversized(self, flags: int, start: bytes) -> None:
        """A 3.1.1 PUBLISH that is too long."""
        self.hub.publishing.oversized(self, flags, start)

    def refused(self, token: int | None, refusal: Refusal) -> None:
        """The ingest path refused a message of ours."""
        self.hub.publishing.refused(self, token, refusal)

    def _ping(self, flags: int, body: bytes) -> None:
        if flags or body:
            raise malformed("PINGREQ has flags or a body.")
        if self.device is not None:
            self.hub.presence.seen(self.device.device_id, self.hub.now_ms())
        self.wire.write(codec.PINGRESP_PACKET)

    def _disconnect(self, flags: int, body: bytes) -> None:
        if codec.decode_disconnect(flags, body, self.version) != Reason.DISCONNECT_WITH_WILL:
            self.will = None
        self.cause = "goodbye"
        self.finish("It disconnected.")

    # -- CONNECT

    def _connect(self, flags: int, body: bytes) -> None:
        version = codec.connect_version(flags, body)
        self.version = codec.V311 if version < codec.V5 else codec.V5
        if version not in {codec.V311, codec.V5}:
            raise SignInError(Reason.UNSUPPORTED_VERSION, "Only MQTT 3.1.1 and 5 are spoken here.")
        connect = codec.decode_connect(body, version)
        self.peer_limit = connect.maximum_packet_size
        self.wants_reasons = connect.wants_problem_information
        if (not connect.client_id and version == codec.V311 and not connect.clean_start) or len(
            connect.client_id
        ) > LONGEST_CLIENT_ID:
            raise SignInError(
                Reason.CLIENT_ID_NOT_VALID, f"Send a client id of at most {LONGEST_CLIENT_ID} characters."
            )
        identity = self.hub.authentication.recall(connect)
        if identity is not None:
            self._accept(connect, identity)
        else:
            self.stop(WAITING)
            self.hub.run(self._sign_in(connect))

    async def _sign_in(self, connect: codec.Connect) -> None:
        try:
            principal = await self.hub.authentication.find(connect, self.address)
            if not self.stopped & ENDED:
                self._accept(connect, principal)
        except SignInError as error:
            self.hub.audit.connect_refused(connect.user_name, self.address, error)
            self.end(error.reason, error.detail)
        except Exception:
            self.end(Reason.SERVER_UNAVAILABLE, "The hub cannot check passwords at the moment; try again soon.")
            raise
        self.go_on(WAITING)

    def _accept(self, connect: codec.Connect, principal: DeviceIdentity | UserPrincipal) -> None:
        assigned = "" if connect.client_id else f"roost-{secrets.token_hex(8)}"
        self.client_id = connect.client_id or assigned
        if isinstance(principal, DeviceIdentity):
            self.device = principal
            self.will = connect.will
        else:
            self.user = principal
            self.token = (connect.password or b"").decode("ascii")
        keep_alive_s = connect.keep_alive_s
        if self.version == codec.V5 and not 0 < keep_alive_s <= LONGEST_KEEP_ALIVE_S:
            keep_alive_s = LONGEST_KEEP_ALIVE_S
        self.hub.enter(self)
        self.hub.audit.entered(principal, self.address)
        self.accepted = True
        self.silence_limit_s = 1.5 * keep_alive_s
        self.packet_limit = PACKET_LIMIT_BYTES
        self.gap = 3 if self.version == codec.V5 else 2
        properties = self._terms(connect, assigned, keep_alive_s) if self.version == codec.V5 else b""
        self.wire.write(codec.encode_connack(self.version, Reason.SUCCESS, properties))

    def _terms(self, connect: codec.Connect, assigned: str, keep_alive_s: int) -> bytes:
        """What an MQTT 5 client has to know of us; what it would assume anyway is left out."""
        terms: list[tuple[Property, int | str | tuple[str, str]]] = [
            (Property.RECEIVE_MAXIMUM, RECEIVE_MAXIMUM),
            (Property.MAXIMUM_QOS, 1),
            (Property.MAXIMUM_PACKET_SIZE, PACKET_LIMIT_BYTES),
            (Property.TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS_MAXIMUM),
            (Property.SUBSCRIPTION_IDENTIFIER_AVAILABLE, 0),
            (Property.SHARED_SUBSCRIPTION_AVAILABLE, 0),
        ]
        if connect.session_expiry_s:
            terms.append((Property.SESSION_EXPIRY_INTERVAL, 0))
        if assigned:
            terms.append((Property.ASSIGNED_CLIENT_IDENTIFIER, assigned))
        if keep_alive_s != connect.keep_alive_s:
            terms.append((Property.SERVER_KEEP_ALIVE, keep_alive_s))
        if self.intake.full:
            terms.append((Property.USER_PROPERTY, ("back_off_s", str(BACK_OFF_S))))
        return encode_properties(terms)

    # -- the end

    def finish(self, outcome: str) -> None:
        """Closes without a word: the client said farewell, or cannot hear one any more."""
        if not self.stopped & ENDED:
            self.outcome = outcome
            self.stopped |= ENDED
            self.rest = None
            self._linger()
            self.wire.close()

    def _linger(self) -> None:
        # Counts from the next sweep on, as if something had been heard.
        self.active = True
        self.silence_limit_s = LINGER_S

    def hang_up(self) -> None:
        """Says that nothing more will come and reads on until the client has closed.

        If it is still sending, a close would make the kernel answer with a reset, and the client would lose the last
        words and PUBACKs that are on their way. The sweep ends those that don't let go.
        """
        self._linger()
        if self.accepted and self.wire.can_write_eof():
            self.wire.write_eof()
            self.wire.resume_reading()
        else:
            self.wire.close()

    def farewell(self, reason: Reason, detail: str) -> bytes:
        """CONNACK or DISCONNECT, as far as the client's version and state know one."""
        self.outcome = detail
        self.cause = "keep_alive" if reason == Reason.KEEP_ALIVE_TIMEOUT else "closed"
        if self.accepted:
            if self.version != codec.V5:
                return b""
            return self.fitting(codec.encode_disconnect(reason, detail), codec.encode_disconnect(reason))
        if self.version == codec.V5:
            spoken = encode_properties([(Property.REASON_STRING, detail)])
            return self.fitting(codec.encode_connack(codec.V5, reason, spoken), codec.encode_connack(codec.V5, reason))
        return codec.encode_connack(codec.V311, reason) if self.version and reason in _SAID_311 else b""

    def fitting(self, spoken: bytes, plain: bytes) -> bytes:
        """The packet with the reason in words, unless the client takes no packet of this length."""
        return spoken if len(spoken) <= self.peer_limit else plain
