"""What a block held, kept beside it so that trends need no decoding."""

import struct
import zlib
from collections.abc import Collection

import msgspec
import numpy as np

from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Column, ColumnSummary, Frame, Summary

_CHECKSUM = struct.Struct("<I")
_PLACE = struct.Struct("<qqq")


class _Entry(msgspec.Struct, array_like=True):
    """A `ColumnSummary`; `first_at` and `last_at` in ms after the start of the block."""

    key: str
    count: int
    min: float
    max: float
    sum: float
    first: float
    last: float
    first_at: int
    last_at: int
    unit: str | None


_encode_entries = msgspec.msgpack.Encoder().encode
_decode_entries = msgspec.msgpack.Decoder(list[_Entry]).decode


def summarise(stretch: Stretch) -> Summary:
    """Of the readings in a stretch, without repetitions."""
    frame = stretch.frame()
    start, end = int(stretch.times[0]), int(stretch.times[-1])
    columns = {key: _column_summary(frame, column) for key, column in frame.columns.items()}
    return Summary(stretch.device_id, start, end, columns)


def _column_summary(frame: Frame, column: Column) -> ColumnSummary:
    times = frame.times if column.present is None else frame.times[column.present]
    values = column.floats()
    with np.errstate(over="ignore"):
        total = float(values.sum())
    return ColumnSummary(
        len(values), float(values.min()), float(values.max()), total, float(values[0]), float(values[-1]),
        int(times[0]), int(times[-1]), next((unit for _, unit in reversed(column.units) if unit is not None), None),
    )  # fmt: skip


def encode_summary(summary: Summary) -> bytes:
    """Checksum and entries; place and device are part of the checksum, and stand elsewhere."""
    start = summary.start
    entries = [
        _Entry(
            key, column.count, column.min, column.max, column.sum, column.first, column.last,
            column.first_at - start, column.last_at - start, column.unit,
        )
        for key, column in summary.columns.items()
    ]  # fmt: skip
    packed = _encode_entries(entries)
    return _CHECKSUM.pack(_checksum(summary.device_id, start, summary.end, packed)) + packed


def decode_summary(device_id: int, start: int, end: int, data: bytes, keys: Collection[str] = ()) -> Summary:
    """The summary of `keys` (empty: all). Raises DamagedBlock."""
    packed = data[_CHECKSUM.size :]
    if len(data) < _CHECKSUM.size or _CHECKSUM.unpack_from(data)[0] != _checksum(device_id, start, end, packed):
        raise DamagedBlock("The checksum of the block's summary is wrong.")
    columns = {
        entry.key: ColumnSummary(
            entry.count, entry.min, entry.max, entry.sum, entry.first, entry.last,
            start + entry.first_at, start + entry.last_at, entry.unit,
        )
        for entry in _decode_entries(packed)
        if not keys or entry.key in keys
    }  # fmt: skip
    return Summary(device_id, start, end, columns)


def _checksum(device_id: int, start: int, end: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(_PLACE.pack(device_id, start, end)))
