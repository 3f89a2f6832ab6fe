"""Messages as they travel: a batch in the stream, and a committed group on its way to whoever listens live."""

from collections.abc import Sequence
from typing import Any

import msgspec
import zstandard

from roost.devices.identity import DeviceIdentity
from roost.telemetry.decode import flatten
from roost.telemetry.messages import Committed, Message

_VERSION = b"\x01"
# More than any batch that is sent can grow to, less than what would hurt.
_LARGEST_BYTES = 256 * 1024 * 1024
_LEVEL = 1


class BadBatch(Exception):  # noqa: N818 - it reads as what it says
    """A batch that this version cannot read, and why."""


class _Sent(msgspec.Struct, array_like=True, gc=False):
    device_id: int
    observed_at: int
    received_at: int
    event_type: str | None
    payload: bytes
    units: dict[str, str] | None
    message_id: str | None


class _Told(msgspec.Struct, array_like=True, gc=False):
    id: int
    device: int
    observed_at: int
    received_at: int
    event_type: str | None
    payload: bytes
    units: dict[str, str] | None


class _Group(msgspec.Struct, array_like=True, gc=False):
    writer: str
    number: int
    devices: list[tuple[int, str, int, int | None]]
    messages: list[_Told]


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(list[_Sent]).decode
_decode_group = msgspec.msgpack.Decoder(_Group).decode
_decode_document = msgspec.json.Decoder(dict[str, Any]).decode
_compress = zstandard.ZstdCompressor(level=_LEVEL).compress


def encode_batch(device_ids: Sequence[int], messages: Sequence[Message]) -> bytes:
    """The messages of these devices, in this order."""
    sent = [
        _Sent(device_id, m.observed_at, m.received_at, m.event_type, m.payload, m.units, m.message_id)
        for device_id, m in zip(device_ids, messages, strict=True)
    ]
    return _VERSION + _compress(_encode(sent))


def decode_batch(body: bytes) -> tuple[list[int], list[Message]]:
    """What `encode_batch` was given, without the readings, which nobody needs who stores it. Raises BadBatch."""
    if body[:1] != _VERSION:
        raise BadBatch(f"Its format is {body[:1].hex() or 'missing'}, which this version does not know.")
    try:
        plain = zstandard.ZstdDecompressor().decompress(body[1:], max_output_size=_LARGEST_BYTES)
        sent = _decode_batch(plain)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise BadBatch(f"It cannot be read: {error}.") from error
    messages = [Message(s.observed_at, s.received_at, s.event_type, {}, s.payload, s.units, s.message_id) for s in sent]
    return [s.device_id for s in sent], messages


def encode_group(writer: str, number: int, committed: Sequence[Committed]) -> bytes:
    """A group that `writer` has committed, its `number`th."""
    devices = {
        device.device_id: (device.device_id, device.device_uid, device.organization_id, device.home_id)
        for device, _ in committed
    }
    messages = [
        _Told(m.id, device.device_id, m.observed_at, m.received_at, m.event_type, m.payload, m.units)
        for device, m in committed
    ]
    return _encode(_Group(writer, number, list(devices.values()), messages))


def decode_group(body: bytes) -> tuple[str, int, list[Committed]]:
    """What `encode_group` was given. Raises msgspec.DecodeError."""
    group = _decode_group(body)
    devices = {fields[0]: DeviceIdentity(*fields) for fields in group.devices}
    return group.writer, group.number, [Committed(devices[told.device], _message(told)) for told in group.messages]


def _message(told: _Told) -> Message:
    document = _decode_document(told.payload)
    readings = document if told.event_type is None else flatten(document)
    return Message(
        told.observed_at, told.received_at, told.event_type, readings, told.payload, told.units, None, told.id
    )  # fmt: skip
