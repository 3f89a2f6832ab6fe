"""Readings as bytes of a file: CSV and JSON lines for people and programs, Arrow and Parquet for analysis.

An encoder is fed points and gives bytes as soon as it has some; whatever the size of the whole, it holds a row group.
"""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roost.telemetry.transfer.cells import safe_cell
from roost.telemetry.transfer.points import BOOLEAN, DOUBLE, INTEGER, Points
from roost.telemetry.transfer.wanted import Format

ROW_GROUP = 4 * 65_536
COLUMNS = ("device_id", "device_uid", "sensor_type", "time", "value", "unit")
SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.int64(), nullable=False),
        pa.field("device_uid", pa.string(), nullable=False),
        pa.field("sensor_type", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("integer", pa.int64()),
        pa.field("boolean", pa.bool_()),
        pa.field("unit", pa.string()),
    ],
    metadata={"roost.content": "readings", "roost.format": "1"},
)


class Encoder(Protocol):
    def start(self) -> bytes:
        """What stands before the first reading."""

    def add(self, device_uid: str, points: Points) -> bytes: ...

    def finish(self) -> bytes:
        """What is still held back, and the end of the file."""


class CsvEncoder:
    def start(self) -> bytes:
        return (",".join(COLUMNS) + "\n").encode()

    def add(self, device_uid: str, points: Points) -> bytes:
        who = f"{points.device_id},{safe_cell(device_uid)},"
        keys = pa.array([f"{who}{safe_cell(key)}," for key in points.keys]).take(points.key_codes)
        units = [f",{'' if unit is None else safe_cell(unit)}\n" for unit in points.units]
        return _joined(keys, _times(points), ",", _values(points), pa.array(units).take(points.unit_codes))

    def finish(self) -> bytes:
        return b""


class JsonEncoder:
    def start(self) -> bytes:
        return b""

    def add(self, device_uid: str, points: Points) -> bytes:
        who = f'{{"device_id":{points.device_id},"device_uid":{_json(device_uid)},"sensor_type":'
        keys = pa.array([f'{who}{_json(key)},"time":"' for key in points.keys]).take(points.key_codes)
        units = pa.array([f',"unit":{_json(unit)}}}\n' for unit in points.units]).take(points.unit_codes)
        return _joined(keys, _times(points), '","value":', _values(points), units)

    def finish(self) -> bytes:
        return b""


class ArrowEncoder:
    """The Arrow IPC stream: a reader has every batch as soon as it has come."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._writer: Any = None

    def start(self) -> bytes:
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, "w"), SCHEMA)
        return self._sink.taken()

    def add(self, device_uid: str, points: Points) -> bytes:
        self._writer.write_batch(batch_of(device_uid, points))
        return self._sink.taken()

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class ParquetEncoder:
    """Row groups of about a quarter of a million readings, zstd, with statistics that let readers skip."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._writer: Any = None
        self._batches: list[pa.RecordBatch] = []
        self._held = 0

    def start(self) -> bytes:
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, "w"), SCHEMA, compression="zstd", compression_level=3,
            use_dictionary=["device_id", "device_uid", "sensor_type", "unit", "value"],
            column_encoding={"time": "DELTA_BINARY_PACKED", "integer": "DELTA_BINARY_PACKED"},
        )  # fmt: skip
        return self._sink.taken()

    def add(self, device_uid: str, points: Points) -> bytes:
        self._batches.append(batch_of(device_uid, points))
        self._held += len(points)
        if self._held >= ROW_GROUP:
            self._write()
        return self._sink.taken()

    def finish(self) -> bytes:
        if self._held:
            self._write()
        self._writer.close()
        return self._sink.taken()

    def _write(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._batches, SCHEMA), row_group_size=self._held)
        self._batches, self._held = [], 0


ENCODERS: dict[Format, Callable[[], Encoder]] = {
    "csv": CsvEncoder,
    "jsonl": JsonEncoder,
    "parquet": ParquetEncoder,
    "arrow": ArrowEncoder,
}


def batch_of(device_uid: str, points: Points) -> pa.RecordBatch:
    """The readings in the schema of the Parquet and Arrow files."""
    count = len(points)
    columns = [
        pa.array(np.full(count, points.device_id, np.int64)),
        _texts([device_uid], np.zeros(count, np.int32)),
        _texts(points.keys, points.key_codes),
        pa.array(points.times, pa.timestamp("ms", tz="UTC")),
        pa.array(points.values),
        pa.array(points.integers, mask=points.kinds != INTEGER),
        pa.array(points.values != 0, mask=points.kinds != BOOLEAN),
        _texts(points.units, points.unit_codes),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


class Sink(io.RawIOBase):
    """What a writer has written since somebody took it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _texts(words: Sequence[str | None], codes: Any) -> pa.Array:
    return pa.array(words, pa.string()).take(pa.array(codes))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _times(points: Points) -> pa.Array:
    """RFC 3339 in UTC; pyarrow's own formatting with a zone takes twenty times as long."""
    text = pc.cast(pa.array(points.times, pa.timestamp("ms")), pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")


def _values(points: Points) -> pa.Array:
    """Each value as what it is: `21` an integer, `21.0` a double with as many digits as it takes, `true` a boolean."""
    kinds = points.kinds
    doubles = pc.cast(pa.array(points.values), pa.string())
    whole = pc.invert(pc.match_substring_regex(doubles, "[.en]"))
    texts = pc.if_else(whole, pc.binary_join_element_wise(doubles, ".0", ""), doubles)
    if (kinds == DOUBLE).all():
        return texts
    integers = pc.cast(pa.array(points.integers), pa.string())
    booleans = pc.if_else(pa.array(points.values != 0), "true", "false")
    return pc.choose(pa.array(kinds.astype(np.int64)), texts, integers, booleans)


def _joined(*columns: Any) -> bytes:
    """The rows of text columns, one after the other: in memory, a column of texts is just that."""
    lines = pc.binary_join_element_wise(*columns, "")
    offsets = np.frombuffer(lines.buffers()[1], np.int32, len(lines) + 1, lines.offset * 4)
    return bytes(lines.buffers()[2][int(offsets[0]) : int(offsets[-1])])
