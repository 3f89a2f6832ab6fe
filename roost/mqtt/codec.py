"""MQTT 3.1.1 and 5 packets: decoding what clients send, encoding what this endpoint answers. Pure functions, no I/O.

Decoders take the packet's flags (the low nibble of its first byte) and body (what follows the remaining length) and
raise `ProtocolError`, nothing else, for whatever bytes they are given.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from roost.mqtt.properties import (
    Properties,
    Property,
    Reader,
    checked_text,
    encode_properties,
    encode_text,
    encode_varint,
    flag,
    number,
    read_properties,
)
from roost.mqtt.reasons import ProtocolError, Reason, connack_code_311, malformed, violation

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

V311 = 4
V5 = 5
PINGRESP_PACKET = b"\xd0\x00"
MAX_PACKET_SIZE = 268_435_455
# A PUBACK without a reason is these two bytes and the packet id: one number, which is packed without an object.
PUBACK_PREFIX = 0x4002_0000

_P = Property
_CONNECT_PROPERTIES = frozenset(
    {
        _P.SESSION_EXPIRY_INTERVAL,
        _P.RECEIVE_MAXIMUM,
        _P.MAXIMUM_PACKET_SIZE,
        _P.TOPIC_ALIAS_MAXIMUM,
        _P.REQUEST_RESPONSE_INFORMATION,
        _P.REQUEST_PROBLEM_INFORMATION,
        _P.USER_PROPERTY,
        _P.AUTHENTICATION_METHOD,
        _P.AUTHENTICATION_DATA,
    }
)
_MESSAGE_PROPERTIES = frozenset(
    {
        _P.PAYLOAD_FORMAT_INDICATOR,
        _P.MESSAGE_EXPIRY_INTERVAL,
        _P.CONTENT_TYPE,
        _P.RESPONSE_TOPIC,
        _P.CORRELATION_DATA,
        _P.USER_PROPERTY,
    }
)
_WILL_PROPERTIES = _MESSAGE_PROPERTIES | {_P.WILL_DELAY_INTERVAL}
_PUBLISH_PROPERTIES = _MESSAGE_PROPERTIES | {_P.TOPIC_ALIAS}
_SUBSCRIBE_PROPERTIES = frozenset({_P.SUBSCRIPTION_IDENTIFIER, _P.USER_PROPERTY})
_UNSUBSCRIBE_PROPERTIES = frozenset({_P.USER_PROPERTY})
_DISCONNECT_PROPERTIES = frozenset({_P.SESSION_EXPIRY_INTERVAL, _P.REASON_STRING, _P.USER_PROPERTY})


@dataclass(frozen=True, slots=True)
class Will:
    """What the client wants said when its connection ends without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT; `version` is 4 (3.1.1) or 5, `keep_alive_s` 0 means none."""

    version: int
    client_id: str
    clean_start: bool
    keep_alive_s: int
    user_name: str | None
    password: bytes | None
    will: Will | None
    maximum_packet_size: int
    session_expiry_s: int
    wants_problem_information: bool


class Publish(NamedTuple):
    """A PUBLISH from a client; `packet_id` is 0 for QoS 0, `topic` empty when only an alias was sent."""

    topic: str
    qos: int
    packet_id: int
    alias: int | None
    payload: bytes


class TopicFilter(NamedTuple):
    """One line of a SUBSCRIBE."""

    text: str
    qos: int
    retain_handling: int


class Subscribe(NamedTuple):
    packet_id: int
    filters: list[TopicFilter]


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: list[str]


def read_length(data: bytes | bytearray, pos: int, end: int) -> tuple[int, int]:
    """The remaining length at `pos` and the place after it; (-1, pos) while it hasn't arrived completely."""
    value = 0
    for index in range(4):
        if pos + index >= end:
            return -1, pos
        byte = data[pos + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, pos + index + 1
    raise malformed("The remaining length is longer than four bytes.")


def connect_version(flags: int, body: bytes) -> int:
    """The protocol level that a CONNECT asks for, 4 for 3.1.1; read first, since it decides how to refuse the rest."""
    if flags:
        raise malformed("CONNECT has reserved flags set.")
    reader = Reader(body)
    name = reader.binary()
    version = reader.byte()
    if name == b"MQIsdp":
        return 3
    if name != b"MQTT":
        raise malformed("The connection does not speak MQTT.")
    return version


def decode_connect(body: bytes, version: int) -> Connect:
    """A CONNECT of `version` 4 or 5."""
    reader = Reader(body)
    reader.binary()
    reader.byte()
    bits = reader.byte()
    keep_alive_s = reader.two()
    _check_connect_bits(bits, version)
    properties = read_properties(reader, _CONNECT_PROPERTIES) if version == V5 else {}
    _check_connect_properties(properties)
    client_id = reader.text()
    will = _read_will(reader, bits, version) if bits & 0x04 else None
    user_name = reader.text() if bits & 0x80 else None
    password = reader.binary() if bits & 0x40 else None
    if not reader.done():
        raise malformed("CONNECT has bytes after its last field.")
    return Connect(
        version=version,
        client_id=client_id,
        clean_start=bool(bits & 0x02),
        keep_alive_s=keep_alive_s,
        user_name=user_name,
        password=password,
        will=will,
        maximum_packet_size=number(properties, _P.MAXIMUM_PACKET_SIZE, MAX_PACKET_SIZE),
        session_expiry_s=number(properties, _P.SESSION_EXPIRY_INTERVAL, 0),
        wants_problem_information=flag(properties, _P.REQUEST_PROBLEM_INFORMATION, default=True),
    )


def _check_connect_bits(bits: int, version: int) -> None:
    if bits & 0x01:
        raise malformed("The reserved CONNECT flag is set.")
    will_qos = bits >> 3 & 0x03
    if will_qos == 3 or (not bits & 0x04 and bits & 0x38):
        raise malformed("The will flags contradict each other.")
    if version == V5 and bits & 0x04 and will_qos == 2:
        raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered; use QoS 1 for the will.")
    if version == V311 and bits & 0x40 and not bits & 0x80:
        raise malformed("MQTT 3.1.1 allows no password without a user name.")


def _check_connect_properties(properties: Properties) -> None:
    if number(properties, _P.RECEIVE_MAXIMUM, 1) == 0 or number(properties, _P.MAXIMUM_PACKET_SIZE, 1) == 0:
        raise violation("Receive Maximum and Maximum Packet Size must not be 0.")
    flag(properties, _P.REQUEST_RESPONSE_INFORMATION, default=False)
    if _P.AUTHENTICATION_METHOD in properties:
        raise ProtocolError(Reason.BAD_AUTHENTICATION_METHOD, "Sign in with user name and password instead.")
    if _P.AUTHENTICATION_DATA in properties:
        raise violation("Authentication Data needs an Authentication Method.")


def _read_will(reader: Reader, bits: int, version: int) -> Will:
    if version == V5:
        flag(read_properties(reader, _WILL_PROPERTIES), _P.PAYLOAD_FORMAT_INDICATOR, default=False)
    topic = checked_topic(reader.binary())
    return Will(topic=topic, payload=reader.binary(), qos=bits >> 3 & 0x03)


def checked_topic(raw: bytes) -> str:
    """A topic name as text; wildcards belong into filters only."""
    topic = checked_text(raw)
    if not topic or "+" in topic or "#" in topic:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "A topic to publish on must be named, without wildcards.")
    return topic


def decode_publish(flags: int, body: bytes, version: int) -> Publish:
    """A PUBLISH; QoS 2 and retained are the caller's to judge, an alias too."""
    qos = flags >> 1 & 0x03
    if qos == 3 or (qos == 0 and flags & 0x08):
        raise malformed("The PUBLISH flags contradict each other.")
    if qos == 2:
        raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered; use QoS 1.")
    reader = Reader(body)
    raw_topic = reader.binary()
    packet_id = _read_packet_id(reader) if qos else 0
    alias: int | None = None
    if version == V5:
        properties = read_properties(reader, _PUBLISH_PROPERTIES)
        flag(properties, _P.PAYLOAD_FORMAT_INDICATOR, default=False)
        if _P.TOPIC_ALIAS in properties:
            alias = number(properties, _P.TOPIC_ALIAS, 0)
    topic = "" if alias is not None and not raw_topic else checked_topic(raw_topic)
    return Publish(topic, qos, packet_id, alias, reader.rest())


def _read_packet_id(reader: Reader) -> int:
    packet_id = reader.two()
    if packet_id == 0:
        raise violation("Packet id 0 is not allowed.")
    return packet_id


def decode_subscribe(flags: int, body: bytes, version: int) -> Subscribe:
    """A SUBSCRIBE with at least one filter; the filters themselves are judged by `topics`."""
    if flags != 0x02:
        raise malformed("SUBSCRIBE has wrong flags.")
    reader = Reader(body)
    packet_id = _read_packet_id(reader)
    properties = read_properties(reader, _SUBSCRIBE_PROPERTIES) if version == V5 else {}
    if _P.SUBSCRIPTION_IDENTIFIER in properties:
        raise ProtocolError(Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, "Subscription identifiers are not offered.")
    filters = []
    while not reader.done():
        text = reader.text()
        options = reader.byte()
        if options & 0x03 == 3 or options & (0xC0 if version == V5 else 0xFC):
            raise malformed("The subscription options have reserved bits set.")
        if options & 0x30 == 0x30:
            raise violation("Retain Handling 3 does not exist.")
        filters.append(TopicFilter(text, options & 0x03, options >> 4 & 0x03))
    if not filters:
        raise violation("SUBSCRIBE names no topic filter.")
    return Subscribe(packet_id, filters)


def decode_unsubscribe(flags: int, body: bytes, version: int) -> Unsubscribe:
    """An UNSUBSCRIBE with at least one filter."""
    if flags != 0x02:
        raise malformed("UNSUBSCRIBE has wrong flags.")
    reader = Reader(body)
    packet_id = _read_packet_id(reader)
    if version == V5:
        read_properties(reader, _UNSUBSCRIBE_PROPERTIES)
    filters = []
    while not reader.done():
        filters.append(reader.text())
    if not filters:
        raise violation("UNSUBSCRIBE names no topic filter.")
    return Unsubscribe(packet_id, filters)


def decode_disconnect(flags: int, body: bytes, version: int) -> int:
    """The reason code of a client's DISCONNECT (0: it leaves as planned)."""
    if flags or (version == V311 and body):
        raise malformed("DISCONNECT has reserved flags or a body.")
    if not body:
        return Reason.SUCCESS
    reader = Reader(body)
    reason = reader.byte()
    if not reader.done():
        properties = read_properties(reader, _DISCONNECT_PROPERTIES)
        if number(properties, _P.SESSION_EXPIRY_INTERVAL, 0):
            raise violation("The session expires with the connection here; that can't be changed at its end.")
    if not reader.done():
        raise malformed("DISCONNECT has bytes after its last field.")
    return reason


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_varint(len(body)) + body


def _reason_properties(detail: str) -> bytes:
    return encode_properties([(_P.REASON_STRING, detail)]) if detail else b"\x00"


def encode_connack(version: int, reason: Reason, properties: bytes = b"\x00") -> bytes:
    """A CONNACK without a present session: what a device has not seen yet is kept by the hub, not by the session."""
    if version == V5:
        return _packet(CONNACK << 4, bytes((0, reason)) + properties)
    return bytes((CONNACK << 4, 2, 0, connack_code_311(reason)))


def encode_plain_puback(packet_id: int) -> bytes:
    """A PUBACK without a word: it is on disk."""
    return (PUBACK_PREFIX | packet_id).to_bytes(4, "big")


def encode_puback(packet_id: int, reason: Reason, detail: str) -> bytes:
    """An MQTT 5 PUBACK that says why the message was refused."""
    return _packet(PUBACK << 4, struct.pack(">HB", packet_id, reason) + _reason_properties(detail))


def encode_suback(version: int, packet_id: int, codes: list[int]) -> bytes:
    """A SUBACK: granted QoS or reason per filter; 3.1.1 knows one reason only."""
    if version == V5:
        return _packet(SUBACK << 4, struct.pack(">HB", packet_id, 0) + bytes(codes))
    return _packet(SUBACK << 4, struct.pack(">H", packet_id) + bytes(min(code, 0x80) for code in codes))


def encode_unsuback(version: int, packet_id: int, codes: list[int]) -> bytes:
    """An UNSUBACK; 3.1.1's carries no codes."""
    body = struct.pack(">HB", packet_id, 0) + bytes(codes) if version == V5 else struct.pack(">H", packet_id)
    return _packet(UNSUBACK << 4, body)


def encode_publish(version: int, topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """A QoS 0 PUBLISH to a subscriber."""
    blank = b"\x00" if version == V5 else b""
    return _packet(PUBLISH << 4 | retain, encode_text(topic) + blank + payload)


def encode_disconnect(reason: Reason, detail: str = "") -> bytes:
    """An MQTT 5 DISCONNECT; servers of 3.1.1 just close."""
    return _packet(DISCONNECT << 4, bytes((reason,)) + _reason_properties(detail))
