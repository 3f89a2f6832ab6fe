"""Events with their documents as bytes: as they were sent, column by column, compressed together."""

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec
import zstandard

from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.log import Row

FORMAT = 1
LEVEL = 9
BLOCK_ROWS = 512
BLOCK_BYTES = 128 * 1024

_PREFIX = struct.Struct("<BI")
_DEVICE = struct.Struct("<q")


class _Events(msgspec.Struct, array_like=True):
    """Ids and times as steps from one event to the next; `lags`: received - observed, in ms."""

    ids: list[int]
    times: list[int]
    lags: list[int]
    types: list[str | None]
    message_ids: list[str | None]
    units: list[bytes | None]
    payloads: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Events).decode


def encode_events(device_id: int, rows: Sequence[Row]) -> bytes:
    """The block of one device's events, ids ascending."""
    events = _Events(
        _steps([row.id for row in rows]),
        _steps([row.observed_at for row in rows]),
        [row.received_at - row.observed_at for row in rows],
        [row.event_type for row in rows],
        [row.message_id for row in rows],
        [row.units for row in rows],
        [row.payload for row in rows],
    )
    rest = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False).compress(_encode(events))
    return _PREFIX.pack(FORMAT, _checksum(device_id, rest)) + rest


def decode_events(device_id: int, data: bytes) -> list[Row]:
    """The events of a block, ids ascending. Raises DamagedBlock."""
    version, checksum = _PREFIX.unpack_from(data) if len(data) >= _PREFIX.size else (0, 0)
    if version > FORMAT:
        raise DamagedBlock(f"The events have format {version}; this version of Roost reads up to {FORMAT}.")
    rest = data[_PREFIX.size :]
    if version != FORMAT or checksum != _checksum(device_id, rest):
        raise DamagedBlock("The checksum of the events is wrong.")
    events = _decode(zstandard.ZstdDecompressor().decompress(rest))
    columns = (
        _sums(events.ids), _sums(events.times), events.lags, events.types, events.payloads, events.units,
        events.message_ids,
    )  # fmt: skip
    return [
        Row(number, device_id, at, at + lag, event_type, payload, units, message_id)
        for number, at, lag, event_type, payload, units, message_id in zip(*columns, strict=True)
    ]


def cut_events(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Parts of at most `BLOCK_ROWS` events and about `BLOCK_BYTES` of documents."""
    start, size = 0, 0
    for place, row in enumerate(rows):
        size += len(row.payload)
        if place - start + 1 >= BLOCK_ROWS or size >= BLOCK_BYTES:
            yield rows[start : place + 1]
            start, size = place + 1, 0
    if start < len(rows):
        yield rows[start:]


def _checksum(device_id: int, rest: bytes) -> int:
    return zlib.crc32(rest, zlib.crc32(_DEVICE.pack(device_id)))


def _steps(numbers: list[int]) -> list[int]:
    return [number - before for before, number in zip([0, *numbers], numbers, strict=False)]


def _sums(steps: list[int]) -> list[int]:
    total = 0
    return [total := total + step for step in steps]
