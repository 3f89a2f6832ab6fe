"""One connection: bytes in, packets out of them, acknowledgements back, and a pause whenever something is behind.

This is the hot path of the whole hub, so a telemetry PUBLISH on the topic used last is handed on without an object,
a future or a coroutine of its own; everything else goes through `handle`, at leisure.
"""

import asyncio
import logging
import struct
from typing import cast

from roost.devices.identity import DeviceIdentity
from roost.mqtt import codec
from roost.mqtt.ports import Intake, Wire
from roost.mqtt.reasons import MqttError, ProtocolError, Reason
from roost.telemetry.decode import BATCH_BYTES
from roost.telemetry.refusals import Refusal

logger = logging.getLogger(__name__)

# Reasons for not reading on; bits of `Connection.stopped`.
WAITING = 1  # an answer has to be found before anything else is looked at
FULL = 2  # the ingest path has no room
WINDOW = 4  # this connection has too many unanswered messages
CHOKED = 8  # the other side does not read what we write
ENDED = 16
LEAVING = 32  # the hub is going down

# Unanswered messages of one connection; announced to MQTT 5 clients as Receive Maximum.
RECEIVE_MAXIMUM = 256
UNAUTHENTICATED_LIMIT_BYTES = 4096
# The largest batch with its topic and properties: what HTTP takes, MQTT takes too.
PACKET_LIMIT_BYTES = BATCH_BYTES + 4096


class Connection(asyncio.Protocol):
    """Framing, order of acknowledgements and back-pressure. Subclasses say what a packet means."""

    __slots__ = (
        "acks",
        "active",
        "device",
        "gap",
        "held",
        "intake",
        "kind",
        "mixed",
        "need",
        "packet_limit",
        "prefix",
        "rest",
        "settled",
        "skipping",
        "stopped",
        "submitted",
        "version",
        "wire",
    )

    wire: Wire

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.version = 0
        self.device: DeviceIdentity | None = None
        # Whether anything arrived since the last sweep: cheaper than a look at the clock for every read.
        self.active = False
        self.stopped = 0
        self.packet_limit = UNAUTHENTICATED_LIMIT_BYTES
        self.rest: bytearray | None = None
        # Bytes that `rest` must have before its first packet is complete.
        self.need = 0
        # Bytes of a refused packet that are still to arrive, and go nowhere.
        self.skipping = 0
        # The length-prefixed topic of the last telemetry PUBLISH, its kind, and the bytes from its end to the payload.
        self.prefix = b""
        self.kind = ""
        self.gap = 2
        self.submitted = 0
        self.settled = 0
        # Answers to send: PUBACKs as numbers, and as bytes where they have more to say (then `mixed`).
        self.acks: list[int | bytes] = []
        self.mixed = False
        # The answer to a packet that is not telemetry, until everything before it has been answered.
        self.held: bytes | None = None

    # -- for subclasses

    def handle(self, first: int, body: bytes) -> None:
        """A complete packet that is not a repetition of the last PUBLISH; raises ProtocolError."""
        raise NotImplementedError

    def handle_oversized(self, flags: int, start: bytes) -> None:
        """A 3.1.1 PUBLISH that is too long, of which `start` (topic and packet id) is kept; raises ProtocolError."""
        raise NotImplementedError

    def refused(self, token: int | None, refusal: Refusal) -> None:
        """The ingest path refused a message; a PUBACK, if one is due, goes to `acks`."""
        raise NotImplementedError

    def farewell(self, reason: Reason, detail: str) -> bytes:
        """What is written before the connection is closed by us."""
        raise NotImplementedError

    # -- bytes in

    def data_received(self, data: bytes) -> None:
        """Bytes from the wire, in pieces of any size."""
        if self.stopped & ENDED:
            return
        self.active = True
        if self.skipping:
            skipped = min(self.skipping, len(data))
            self.skipping -= skipped
            data = data[skipped:]
        if self.rest is not None:
            self.rest += data
            if self.stopped or len(self.rest) < self.need:
                return
            data = bytes(self.rest)
            self.rest = None
        elif self.stopped:
            self.rest = bytearray(data)
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        pos = 0
        try:
            if self.device is not None and self.intake.full:
                self.stop(FULL)
                self.intake.when_room(self._has_room)
            else:
                pos = self._take_packets(data)
        except MqttError as error:
            self.end(error.reason, error.detail)
        except Exception:
            # Must not reach the ingest path, which answers other connections after this one.
            logger.exception("a packet could not be handled")
            self.end(Reason.UNSPECIFIED_ERROR, "The hub could not handle a packet.")
        if self.stopped & ENDED:
            return
        if pos < len(data):
            self.rest = bytearray(data[pos:])
        if self.acks:
            self.flush()
        if self.submitted - self.settled >= RECEIVE_MAXIMUM:
            self.stop(WINDOW)

    def _take_packets(self, data: bytes) -> int:
        """Handles the complete packets of `data`; returns where the incomplete one begins (`need`: its size)."""
        submit = self.intake.submit
        prefix = self.prefix
        self.need = 0
        pos, end = 0, len(data)
        while end - pos >= 2 and not self.stopped:
            length = data[pos + 1]
            body = pos + 2
            if length & 0x80:
                length, body = codec.read_length(data, pos + 1, end)
                if length < 0:
                    break
            stop = body + length
            if length > self.packet_limit:
                pos = self._take_oversized(data, pos, body, stop)
                if self.need:
                    break
                continue
            if stop > end:
                self.need = stop - pos
                break
            first = data[pos]
            place = body + len(prefix)
            payload = place + self.gap
            # QoS 1, resent or not; same topic; MQTT 5 without properties (the third byte of the gap is their length).
            if (
                first | 0x08 == 0x3A
                and prefix
                and payload <= stop
                and data.startswith(prefix, body)
                and (self.gap == 2 or data[place + 2] == 0)
                and (packet_id := data[place] << 8 | data[place + 1])
            ):
                self.submitted += 1
                device = cast("DeviceIdentity", self.device)
                submit(device, self.kind, data[payload:stop], self, codec.PUBACK_PREFIX | packet_id)
            else:
                self.handle(first, data[body:stop])
                prefix = self.prefix
            pos = stop
        return pos

    def _take_oversized(self, data: bytes, pos: int, body: int, stop: int) -> int:
        """Refuses a packet that is too long; returns the place from which to go on, or sets `need` and returns `pos`.

        Only a 3.1.1 PUBLISH is worth reading to its end: that client doesn't know the limit and would send it for ever.
        """
        first = data[pos]
        start = body + 4 + int.from_bytes(data[body : body + 2], "big")
        if self.version != codec.V311 or first >> 4 != codec.PUBLISH or start > stop:
            raise ProtocolError(Reason.PACKET_TOO_LARGE, f"A packet may have {self.packet_limit} bytes here.")
        if start > len(data):
            self.need = max(start, body + 4) - pos
            return pos
        self.handle_oversized(first & 0x0F, data[body:start])
        here = min(stop, len(data))
        self.skipping = stop - here
        return here

    # -- answers out

    def settle(self, token: object, refusal: Refusal | None) -> None:
        """The ingest path's answer to one message, in the order in which they were submitted."""
        self.settled += 1
        if refusal is not None:
            self.refused(cast("int | None", token), refusal)
        elif token is not None:
            self.acks.append(cast("int", token))

    def flush(self) -> None:
        """Writes the answers of a group at once, and goes on with what had to wait for them."""
        released = self.held is not None and self.settled == self.submitted
        if released:
            self.acks.append(cast("bytes", self.held))
            self.mixed = True
            self.held = None
        if self.acks:
            self._write_acks()
        if self.stopped:
            if released:
                self.go_on(WAITING)
            if self.submitted - self.settled <= RECEIVE_MAXIMUM // 2:
                self.go_on(WINDOW)

    def _write_acks(self) -> None:
        acks, self.acks = self.acks, []
        packets = _join(acks) if self.mixed else struct.pack(f">{len(acks)}I", *acks)
        self.mixed = False
        if packets and not self.stopped & ENDED:
            self.wire.write(packets)

    def answer(self, packet: bytes) -> None:
        """Sends the answer to a packet that is not telemetry, after all answers that are due before it.

        Nothing further is read until then: such packets are rare, and their order is kept without a queue.
        """
        if self.settled == self.submitted:
            self.acks.append(packet)
            self.mixed = True
        else:
            self.held = packet
            self.stop(WAITING)

    def answer_late(self, packet: bytes) -> None:
        """The same at the end of a wait that began with `stop(WAITING)`."""
        self.held = packet
        self.flush()

    # -- back-pressure

    def stop(self, why: int) -> None:
        """Reads and parses nothing until `go_on` has been called for every reason."""
        if not self.stopped:
            self.wire.pause_reading()
        self.stopped |= why

    def go_on(self, why: int) -> None:
        """One reason to stop is gone."""
        if not self.stopped & why:
            return
        self.stopped &= ~why
        if self.stopped:
            return
        rest, self.rest = self.rest, None
        if rest is not None:
            if len(rest) < self.need:
                self.rest = rest
            else:
                self._parse(bytes(rest))
        if not self.stopped:
            self.wire.resume_reading()

    def _has_room(self) -> None:
        self.go_on(FULL)

    def pause_writing(self) -> None:
        """The other side reads slower than we write: then we read nothing from it either."""
        self.stop(CHOKED)

    def resume_writing(self) -> None:
        self.go_on(CHOKED)

    # -- the end

    def end(self, reason: Reason, detail: str) -> None:
        """Sends the answers that are due and a farewell, and closes."""
        if self.stopped & ENDED:
            return
        if self.acks:
            self._write_acks()
        self.stopped |= ENDED
        self.rest = None
        last_words = self.farewell(reason, detail)
        if last_words:
            self.wire.write(last_words)
        self.hang_up()

    def hang_up(self) -> None:
        """Closes; by subclasses in a way that lets the last words arrive."""
        self.wire.close()


def _join(acks: list[int | bytes]) -> bytes:
    return b"".join(ack.to_bytes(4, "big") if isinstance(ack, int) else ack for ack in acks)
