"""Packets as pure functions: what an independent encoder writes is read back, and no bytes make a decoder stumble."""

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.mqtt import codec
from roost.mqtt.properties import Property, encode_properties, encode_varint
from roost.mqtt.reasons import ProtocolError, Reason
from tests.mqtt import wire

VERSIONS = st.sampled_from([4, 5])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)
PAYLOADS = st.binary(max_size=200)
PACKET_IDS = st.integers(1, 65535)


def _body(packet: bytes) -> bytes:
    length, start = codec.read_length(packet, 1, len(packet))
    assert start + length == len(packet)
    return packet[start:]


@settings(deadline=None, max_examples=50)
@given(VERSIONS, TEXTS, TEXTS, PAYLOADS, st.integers(0, 65535), st.booleans(), st.none() | st.tuples(TOPICS, PAYLOADS))
def test_connect_round_trip(  # noqa: PLR0917 - hypothesis fills them in
    version: int,
    client_id: str,
    name: str,
    password: bytes,
    keep_alive: int,
    clean: bool,
    will: tuple[str, bytes] | None,
) -> None:
    sent = wire.connect(
        version, client_id, name, password, keep_alive=keep_alive, clean=clean, will=(*will, 1) if will else None
    )
    body = _body(sent)
    assert codec.connect_version(0, body) == version
    connect = codec.decode_connect(body, version)
    assert (connect.client_id, connect.user_name, connect.password) == (client_id, name, password)
    assert (connect.keep_alive_s, connect.clean_start) == (keep_alive, clean)
    assert connect.will == (codec.Will(*will, 1) if will else None)


@settings(deadline=None, max_examples=50)
@given(VERSIONS, TOPICS, PAYLOADS, PACKET_IDS, st.booleans())
def test_publish_round_trip(version: int, topic: str, payload: bytes, packet_id: int, retain: bool) -> None:
    qos = packet_id % 2
    sent = wire.publish(topic, payload, packet_id, version=version, qos=qos, retain=retain)
    publish = codec.decode_publish(sent[0] & 0x0F, _body(sent), version)
    assert publish == codec.Publish(topic, qos, packet_id if qos else 0, None, payload)


@settings(deadline=None, max_examples=50)
@given(VERSIONS, PACKET_IDS, st.lists(TEXTS, min_size=1, max_size=5), st.integers(0, 2))
def test_subscribe_round_trip(version: int, packet_id: int, filters: list[str], qos: int) -> None:
    sent = wire.subscribe(*filters, packet_id=packet_id, version=version, options=qos)
    subscribe = codec.decode_subscribe(2, _body(sent), version)
    assert subscribe == codec.Subscribe(packet_id, [codec.TopicFilter(text, qos, 0) for text in filters])
    sent = wire.unsubscribe(*filters, packet_id=packet_id, version=version)
    assert codec.decode_unsubscribe(2, _body(sent), version) == codec.Unsubscribe(packet_id, filters)


DECODERS: list[Callable[[int, bytes, int], Any]] = [
    codec.decode_publish,
    codec.decode_subscribe,
    codec.decode_unsubscribe,
    codec.decode_disconnect,
    lambda _flags, body, version: codec.decode_connect(body, version),
    lambda flags, body, _version: codec.connect_version(flags, body),
    lambda _flags, body, _version: codec.read_length(body, 0, len(body)),
]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(DECODERS), st.integers(0, 15), st.binary(max_size=300), VERSIONS)
def test_random_bytes_raise_nothing_else(
    decode: Callable[[int, bytes, int], Any], flags: int, body: bytes, version: int
) -> None:
    with contextlib.suppress(ProtocolError):
        decode(flags, body, version)


@settings(deadline=None, max_examples=150)
@given(st.data(), VERSIONS)
def test_damaged_packets_raise_nothing_else(data: st.DataObject, version: int) -> None:
    """Random bytes rarely get past the first field; nearly right ones do."""
    properties = b"\x11\x00\x00\x00\x05\x21\x00\x0a\x26\x00\x01a\x00\x01b"
    will = ("devices/me/status", b"gone", 1)
    right = data.draw(
        st.sampled_from(
            [
                (wire.connect(version, password="p", will=will, properties=properties), DECODERS[4]),
                (wire.publish("devices/me/telemetry", b"{}", version=version, properties=b"\x23\x00\x01"), DECODERS[0]),
                (wire.subscribe("devices/+/telemetry", "a", version=version), DECODERS[1]),
                (wire.unsubscribe("devices/+/telemetry", version=version), DECODERS[2]),
                (wire.packet(0xE0, b"\x04\x0b\x1f\x00\x03why\x26\x00\x00\x00\x00"), DECODERS[3]),
            ]
        )
    )
    packet, decode = right
    body = bytearray(_body(packet))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    with contextlib.suppress(ProtocolError):
        decode(packet[0] & 0x0F, bytes(body[:cut]), version)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, codec.MAX_PACKET_SIZE))
def test_lengths_round_trip(value: int) -> None:
    encoded = encode_varint(value)
    assert encoded == wire.varint(value)
    assert codec.read_length(encoded, 0, len(encoded)) == (value, len(encoded))
    assert codec.read_length(encoded[:-1], 0, len(encoded) - 1)[0] == -1


def test_properties_are_encoded_by_their_types() -> None:
    encoded = encode_properties(
        [
            (Property.RECEIVE_MAXIMUM, 256),
            (Property.MAXIMUM_QOS, 1),
            (Property.MAXIMUM_PACKET_SIZE, 65536),
            (Property.SUBSCRIPTION_IDENTIFIER, 200),
            (Property.REASON_STRING, "é"),
            (Property.USER_PROPERTY, ("a", "b")),
        ]
    )
    block = b"\x21\x01\x00\x24\x01\x27\x00\x01\x00\x00\x0b\xc8\x01\x1f\x00\x02\xc3\xa9\x26\x00\x01a\x00\x01b"
    assert encoded == bytes([len(block)]) + block


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (codec.encode_connack(4, Reason.SERVER_BUSY), b"\x20\x02\x00\x03"),
        (codec.encode_connack(5, Reason.SUCCESS), b"\x20\x03\x00\x00\x00"),
        (codec.encode_plain_puback(0x1234), b"\x40\x02\x12\x34"),
        (codec.encode_puback(1, Reason.QUOTA_EXCEEDED, "no"), b"\x40\x09\x00\x01\x97\x05\x1f\x00\x02no"),
        (codec.encode_suback(4, 1, [0, 0x87]), b"\x90\x04\x00\x01\x00\x80"),
        (codec.encode_suback(5, 1, [0, 0x87]), b"\x90\x05\x00\x01\x00\x00\x87"),
        (codec.encode_unsuback(4, 1, [0]), b"\xb0\x02\x00\x01"),
        (codec.encode_unsuback(5, 1, [0, 0x11]), b"\xb0\x05\x00\x01\x00\x00\x11"),
        (codec.encode_publish(4, "a", b"x", retain=True), b"\x31\x04\x00\x01ax"),
        (codec.encode_publish(5, "a", b"x"), b"\x30\x05\x00\x01a\x00x"),
        (codec.encode_disconnect(Reason.SESSION_TAKEN_OVER), b"\xe0\x02\x8e\x00"),
    ],
)
def test_answers_on_the_wire(encoded: bytes, expected: bytes) -> None:
    assert encoded == expected


def test_disconnect_reasons() -> None:
    assert codec.decode_disconnect(0, b"", 4) == 0
    assert codec.decode_disconnect(0, b"\x04", 5) == Reason.DISCONNECT_WITH_WILL
    with pytest.raises(ProtocolError):
        codec.decode_disconnect(0, b"\x00", 4)
    with pytest.raises(ProtocolError):
        codec.decode_disconnect(0, b"\x00\x00x", 5)


def test_connect_properties() -> None:
    properties = b"\x11\x00\x00\x00\x3c\x27" + struct.pack(">I", 1000) + b"\x17\x00\x19\x01\x22\x00\x05"
    body = _body(wire.connect(5, password="p", properties=properties))
    connect = codec.decode_connect(body, 5)
    assert (connect.session_expiry_s, connect.maximum_packet_size) == (60, 1000)
    assert connect.wants_problem_information is False
