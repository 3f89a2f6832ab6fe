"""MQTT 5 properties and the primitive types of the wire (sections 1.5 and 2.2.2 of the standard)."""

import struct
from collections.abc import Iterable
from enum import IntEnum

from roost.mqtt.reasons import malformed, violation

PropertyValue = int | str | bytes
Properties = dict[int, PropertyValue]


class Property(IntEnum):
    """Identifiers; the value's type is in `_KINDS`."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A


_P = Property
_BYTE, _TWO, _FOUR, _VARINT, _TEXT, _BINARY, _PAIR = range(7)
_KINDS: dict[int, int] = {
    **dict.fromkeys(
        (_P.PAYLOAD_FORMAT_INDICATOR, _P.REQUEST_PROBLEM_INFORMATION, _P.REQUEST_RESPONSE_INFORMATION), _BYTE
    ),
    **dict.fromkeys((_P.MAXIMUM_QOS, _P.RETAIN_AVAILABLE, _P.WILDCARD_SUBSCRIPTION_AVAILABLE), _BYTE),
    **dict.fromkeys((_P.SUBSCRIPTION_IDENTIFIER_AVAILABLE, _P.SHARED_SUBSCRIPTION_AVAILABLE), _BYTE),
    **dict.fromkeys((_P.SERVER_KEEP_ALIVE, _P.RECEIVE_MAXIMUM, _P.TOPIC_ALIAS_MAXIMUM, _P.TOPIC_ALIAS), _TWO),
    **dict.fromkeys((_P.MESSAGE_EXPIRY_INTERVAL, _P.SESSION_EXPIRY_INTERVAL, _P.WILL_DELAY_INTERVAL), _FOUR),
    _P.MAXIMUM_PACKET_SIZE: _FOUR,
    _P.SUBSCRIPTION_IDENTIFIER: _VARINT,
    **dict.fromkeys((_P.CONTENT_TYPE, _P.RESPONSE_TOPIC, _P.ASSIGNED_CLIENT_IDENTIFIER), _TEXT),
    **dict.fromkeys((_P.AUTHENTICATION_METHOD, _P.REASON_STRING), _TEXT),
    **dict.fromkeys((_P.CORRELATION_DATA, _P.AUTHENTICATION_DATA), _BINARY),
    _P.USER_PROPERTY: _PAIR,
}
_MAX_VARINT_BYTES = 4


class Reader:
    """Reads one packet's body from front to back; running past its end is a malformed packet."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self.pos
        self.pos = start + size
        if self.pos > self.end:
            raise malformed("The packet ends in the middle of a field.")
        return self.data[start : self.pos]

    def byte(self) -> int:
        """One unsigned byte."""
        return self.take(1)[0]

    def two(self) -> int:
        """A big-endian 16-bit number."""
        return int.from_bytes(self.take(2), "big")

    def four(self) -> int:
        """A big-endian 32-bit number."""
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        """A variable byte integer of at most four bytes."""
        value = 0
        for position in range(_MAX_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * position
            if not byte & 0x80:
                return value
        raise malformed("A variable byte integer is longer than four bytes.")

    def binary(self) -> bytes:
        """A length-prefixed byte string."""
        return self.take(self.two())

    def text(self) -> str:
        """A length-prefixed UTF-8 string without NUL or surrogates."""
        return checked_text(self.binary())

    def rest(self) -> bytes:
        """Everything up to the end of the packet."""
        return self.take(self.end - self.pos)

    def done(self) -> bool:
        """Whether the packet has been read completely."""
        return self.pos >= self.end


def checked_text(raw: bytes) -> str:
    """`raw` as text; NUL is forbidden by section 1.5.4 although it is valid UTF-8."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed("A text field is not valid UTF-8.") from None
    if "\0" in text:
        raise malformed("A text field contains a NUL character.")
    return text


def read_properties(reader: Reader, allowed: frozenset[int]) -> Properties:
    """The property block at the reader's place; user properties are checked and let go."""
    length = reader.varint()
    end = reader.pos + length
    if end > reader.end:
        raise malformed("The properties are longer than their packet.")
    block = Reader(reader.data, reader.pos, end)
    found: Properties = {}
    while not block.done():
        identifier = block.varint()
        kind = _KINDS.get(identifier)
        if kind is None:
            raise malformed(f"There is no property 0x{identifier:02X}.")
        if identifier not in allowed:
            raise violation(f"Property 0x{identifier:02X} does not belong into this packet.")
        value = _read_value(block, kind)
        if kind == _PAIR:
            continue
        if identifier in found:
            raise violation(f"Property 0x{identifier:02X} appears twice.")
        found[identifier] = value
    reader.pos = end
    return found


def _read_value(block: Reader, kind: int) -> PropertyValue:
    if kind == _PAIR:
        block.text()
        return block.text()
    readers = (block.byte, block.two, block.four, block.varint, block.text, block.binary)
    return readers[kind]()


def number(properties: Properties, identifier: int, default: int) -> int:
    """The value of a numeric property, or `default`."""
    value = properties.get(identifier, default)
    return value if isinstance(value, int) else default


def flag(properties: Properties, identifier: int, *, default: bool) -> bool:
    """The value of a 0/1 property; anything else breaks the protocol."""
    value = number(properties, identifier, int(default))
    if value > 1:
        raise violation(f"Property 0x{identifier:02X} must be 0 or 1.")
    return value == 1


def encode_varint(value: int) -> bytes:
    """A variable byte integer (at most 268,435,455)."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_text(text: str) -> bytes:
    """A length-prefixed UTF-8 string."""
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def encode_properties(pairs: Iterable[tuple[Property, int | str | tuple[str, str]]]) -> bytes:
    """A property block with its length in front."""
    block = b"".join(bytes((identifier,)) + _encode_value(_KINDS[identifier], value) for identifier, value in pairs)
    return encode_varint(len(block)) + block


def _encode_value(kind: int, value: int | str | tuple[str, str]) -> bytes:
    if isinstance(value, tuple):
        return encode_text(value[0]) + encode_text(value[1])
    if isinstance(value, str):
        return encode_text(value)
    if kind == _VARINT:
        return encode_varint(value)
    return value.to_bytes({_BYTE: 1, _TWO: 2, _FOUR: 4}[kind], "big")
