"""A stretch as bytes: every column compressed by itself, so that one of many can be read alone.

    version (1 byte)   checksum (CRC-32 of the device's id and of all that follows)   length of the head (4 bytes)
    head (msgpack)     times   ids   which have a time of their own   their lags   which are events   columns …

Numbers go through pcodec. What a sensor sends with two decimals goes as a whole number of hundredths, and times as what
they differ from an even pace when that is shorter. What is true or false of each row is a bit, deflated; a series that
changed its kind is a msgpack list, deflated.

Everything comes back to the last bit except `received` of messages with a time of their own: it is kept to the second,
as a lag behind the device's clock that is never zero, so that "the device gave a time" stays what it was.
"""

import struct
import zlib
from collections.abc import Collection
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, PagingSpec, wrapped  # type: ignore[import-untyped]

from roost.telemetry.blocks.stretch import Stretch, frame_without_repetitions
from roost.telemetry.frames import Column, Frame, Mask, Times

FORMAT = 1
SECOND_MS = 1000
MOST_DECIMALS = 6
# Whole numbers of a millionth are exact up to here.
LARGEST_DECIMAL = 1e9

_PREFIX = struct.Struct("<BII")
_PLACE = struct.Struct("<qI")
_DTYPES = {"f": np.dtype(np.float64), "i": np.dtype(np.int64)}
_PCO_TYPES = {"f": "f64", "i": "i64"}


class DamagedBlock(Exception):  # noqa: N818 - it reads as what it says
    """The bytes of a block are not those that were written, or were written by a newer version."""


class _ColumnHead(msgspec.Struct, array_like=True):
    """`kind`: f(loat), i(nteger), b(oolean), o (any of them), or how many decimals all of the floats have.

    Lengths in bytes; 0 for a section that is not needed. `negative_zeros`: which values are that, if kept as decimals.
    """

    key: str
    kind: str | int
    values: int
    present: int
    integral: int
    units: list[tuple[int, str | None]]
    negative_zeros: list[int]


class _Head(msgspec.Struct, array_like=True):
    """`pace`: what times are ahead of the row before, in ms, if they are kept as the difference from that."""

    rows: int
    pco: bytes
    pace: int
    fixed: list[int]
    columns: list[_ColumnHead]


_encode_head = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


def encode(stretch: Stretch) -> bytes:
    """The block of at least one row."""
    numbers = wrapped.FileCompressor()
    own = stretch.received != stretch.times
    lags = (stretch.received[own] - stretch.times[own]) // SECOND_MS
    pace, times = _pack_times(numbers, stretch.times)
    fixed = [
        times,
        _pack_numbers(numbers, stretch.ids),
        _pack_bits(own) if own.any() else b"",
        _pack_numbers(numbers, lags),
        b"" if stretch.events is None else _pack_bits(stretch.events),
    ]
    sections: list[bytes] = []
    heads: list[_ColumnHead] = []
    for key, column in stretch.columns.items():
        head, packed = _pack_column(numbers, key, column)
        sections += packed
        heads.append(head)
    lengths = [len(section) for section in fixed]
    first = _encode_head(_Head(stretch.rows, numbers.write_header(), pace, lengths, heads))
    rest = b"".join([first, *fixed, *sections])
    return _PREFIX.pack(FORMAT, _checksum(stretch.device_id, len(first), rest), len(first)) + rest


def decode(device_id: int, data: bytes, keys: Collection[str] = ()) -> Stretch:
    """The stretch in a block, of its columns only `keys` (empty: all).

    Raises:
        DamagedBlock: nothing of it can be trusted.
    """
    head, sections = _opened(device_id, data)
    times_length, ids_length, own_length, lags_length, events_length = head.fixed
    times = sections.times(times_length, head)
    ids = sections.numbers(ids_length, head.rows, "i")
    own = sections.bits(own_length, head.rows)
    received = times.copy()
    if own is None:
        sections.skip(lags_length)
    else:
        lags = sections.numbers(lags_length, int(own.sum()), "i")
        received[own] += lags * SECOND_MS + SECOND_MS // 2
    events = sections.bits(events_length, head.rows)
    return Stretch(device_id, times, ids, received, events, sections.columns(head, keys))


def decode_frame(device_id: int, data: bytes, keys: Collection[str] = ()) -> Frame:
    """The readings of `keys` (empty: all) in a block: whatever else it holds is not touched.

    Raises:
        DamagedBlock: nothing of it can be trusted.
    """
    head, sections = _opened(device_id, data)
    if keys and not any(column.key in keys for column in head.columns):
        return Frame(device_id, np.empty(0, np.int64), {})
    times = sections.times(head.fixed[0], head)
    sections.skip(sum(head.fixed[1:]))
    return frame_without_repetitions(device_id, times, sections.columns(head, keys))


def _opened(device_id: int, data: bytes) -> "tuple[_Head, _Sections]":
    """The head of a block whose bytes are those that were written, and what follows it."""
    version, checksum, head_length = _PREFIX.unpack_from(data) if len(data) >= _PREFIX.size else (0, 0, 0)
    if version > FORMAT:
        raise DamagedBlock(f"The block has format {version}; this version of Roost reads up to {FORMAT}.")
    rest = memoryview(data)[_PREFIX.size :]
    if version != FORMAT or checksum != _checksum(device_id, head_length, rest):
        raise DamagedBlock("The checksum of the block is wrong.")
    head = _decode_head(rest[:head_length])
    return head, _Sections(data, _PREFIX.size + head_length, wrapped.FileDecompressor.new(head.pco)[0])


def _checksum(device_id: int, head_length: int, rest: bytes | memoryview) -> int:
    return zlib.crc32(rest, zlib.crc32(_PLACE.pack(device_id, head_length)))


def _pack_times(numbers: Any, times: Times) -> tuple[int, bytes]:
    """The pace that was taken out of the times, and what is left of them: whichever is shorter."""
    packed = _pack_numbers(numbers, times)
    if len(times) < 2:
        return 0, packed
    pace = int(np.median(np.diff(times)))
    paced = _pack_numbers(numbers, times - pace * np.arange(len(times)))
    return (pace, paced) if len(paced) < len(packed) else (0, packed)


def _pack_column(numbers: Any, key: str, column: Column) -> tuple[_ColumnHead, tuple[bytes, bytes, bytes]]:
    """Values, presence and integrality; the values without places of rows that have none."""
    present, integral = column.present, column.integral
    values = column.values if present is None else column.values[present]
    head = _ColumnHead(key, values.dtype.kind if values.dtype.kind in "fib" else "o", 0, 0, 0, list(column.units), [])
    if head.kind == "b":
        packed = _pack_bits(values)
    elif head.kind == "o":
        packed = _deflate(msgspec.msgpack.encode(values.tolist()))
    else:
        if head.kind == "f":
            values = _as_decimals(head, values)
        packed = _pack_numbers(numbers, values)
    if integral is not None and present is not None:
        integral = integral[present]
    masks = [b"" if mask is None else _pack_bits(mask) for mask in (present, integral)]
    head.values, head.present, head.integral = len(packed), len(masks[0]), len(masks[1])
    return head, (packed, masks[0], masks[1])


def _as_decimals(head: _ColumnHead, values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """The values as whole numbers of the fewest decimals that all of them have, noted in `head`; or as they are."""
    if np.abs(values).max() >= LARGEST_DECIMAL:
        return values
    negative_zeros = np.flatnonzero((values == 0) & np.signbit(values))
    plain = values + 0.0  # a negative zero plus zero is zero
    for decimals in range(MOST_DECIMALS + 1):
        whole = np.rint(plain * 10.0**decimals).astype(np.int64)
        # Division rounds to the nearest double, which is what the text of a decimal number means.
        if np.array_equal(whole / 10.0**decimals, plain):
            head.kind, head.negative_zeros = decimals, negative_zeros.tolist()
            return whole
    return values


def _pack_numbers(numbers: Any, values: npt.NDArray[Any]) -> bytes:
    if not len(values):
        return b""
    config = ChunkConfig(paging_spec=PagingSpec.exact_page_sizes([len(values)]))
    chunk = numbers.chunk_compressor(np.ascontiguousarray(values), config)
    meta: bytes = chunk.write_meta()
    page: bytes = chunk.write_page(0)
    return meta + page


def _pack_bits(bits: Mask) -> bytes:
    return _deflate(np.packbits(bits).tobytes())


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data, 9, wbits=-zlib.MAX_WBITS)


def _inflate(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS)


class _Sections:
    """The sections of a block, read one after the other."""

    def __init__(self, data: bytes, start: int, numbers: Any) -> None:
        self._data = data
        self._place = start
        self._numbers = numbers

    def skip(self, length: int) -> None:
        self._place += length

    def times(self, length: int, head: _Head) -> Times:
        times = self.numbers(length, head.rows, "i")
        if head.pace:
            times += np.arange(head.rows) * head.pace
        return times

    def numbers(self, length: int, count: int, kind: str) -> Times:
        section = self._take(length)
        values = np.empty(count, _DTYPES[kind])
        if count:
            chunk, used = self._numbers.chunk_decompressor(section, _PCO_TYPES[kind])
            chunk.read_page_into(section[used:], count, values)
        return values  # type: ignore[return-value]

    def bits(self, length: int, count: int) -> Mask | None:
        """One truth per row, or None where the section was not needed."""
        if not length:
            return None
        packed = np.frombuffer(_inflate(self._take(length)), np.uint8)
        return np.unpackbits(packed, count=count).astype(np.bool_)

    def columns(self, head: _Head, keys: Collection[str]) -> dict[str, Column]:
        """Those of `keys` (empty: all)."""
        columns = {}
        for column in head.columns:
            if keys and column.key not in keys:
                self.skip(column.values + column.present + column.integral)
            else:
                columns[column.key] = self.column(column, head.rows)
        return columns

    def column(self, head: _ColumnHead, rows: int) -> Column:
        values_at, self._place = self._place, self._place + head.values
        present = self.bits(head.present, rows)
        count = rows if present is None else int(present.sum())
        integral = self.bits(head.integral, count)
        after, self._place = self._place, values_at
        values: npt.NDArray[Any]
        if head.kind == "b":
            unpacked = self.bits(head.values, count)
            values = np.zeros(count, np.bool_) if unpacked is None else unpacked
        elif head.kind == "o":
            values = np.empty(count, object)
            values[:] = msgspec.msgpack.decode(_inflate(self._take(head.values)))
        else:
            values = self.numbers(head.values, count, "f" if head.kind == "f" else "i")
            if isinstance(head.kind, int):
                values = values / 10.0**head.kind
                if head.negative_zeros:
                    values[head.negative_zeros] = -0.0
        self._place = after
        units = tuple((place, unit) for place, unit in head.units)
        if present is None:
            return Column(values, None, integral, units)
        return Column(
            _spread(values, present), present, None if integral is None else _spread(integral, present), units
        )

    def _take(self, length: int) -> bytes:
        section = self._data[self._place : self._place + length]
        self._place += length
        return section


def _spread(values: npt.NDArray[Any], present: Mask) -> npt.NDArray[Any]:
    spread = np.zeros(len(present), values.dtype)
    spread[present] = values
    return spread
