"""Events as bytes of a file; each is its document as sent, with what is known about it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.log import Row
from roost.telemetry.transfer.cells import safe_cell
from roost.telemetry.transfer.formats import Sink
from roost.telemetry.transfer.wanted import Format

COLUMNS = ("id", "device_id", "device_uid", "event_type", "time", "received_at", "message_id", "payload")
_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("device_id", pa.int64(), nullable=False),
        pa.field("device_uid", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("time", _TIME, nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("message_id", pa.string()),
        pa.field("payload", pa.string(), nullable=False),
    ],
    metadata={"roost.content": "events", "roost.format": "1"},
)

Uids = Mapping[int, str]


class EventEncoder(Protocol):
    def start(self) -> bytes: ...

    def add(self, uids: Uids, rows: Sequence[Row]) -> bytes: ...

    def finish(self) -> bytes: ...


class CsvEvents:
    def start(self) -> bytes:
        return (",".join(COLUMNS) + "\n").encode()

    def add(self, uids: Uids, rows: Sequence[Row]) -> bytes:
        return "".join(self._line(uids[row.device_id], row) for row in rows).encode()

    def finish(self) -> bytes:
        return b""

    @staticmethod
    def _line(device_uid: str, row: Row) -> str:
        texts = [device_uid, row.event_type or "", rfc3339_from_ms(row.observed_at), rfc3339_from_ms(row.received_at)]
        cells = [safe_cell(text) for text in (*texts, row.message_id or "", row.payload.decode())]
        return f"{row.id},{row.device_id},{','.join(cells)}\n"


class JsonEvents:
    def start(self) -> bytes:
        return b""

    def add(self, uids: Uids, rows: Sequence[Row]) -> bytes:
        return b"".join(self._line(uids[row.device_id], row) for row in rows)

    def finish(self) -> bytes:
        return b""

    @staticmethod
    def _line(device_uid: str, row: Row) -> bytes:
        known = {
            "id": row.id,
            "device_id": row.device_id,
            "device_uid": device_uid,
            "event_type": row.event_type,
            "time": rfc3339_from_ms(row.observed_at),
            "received_at": rfc3339_from_ms(row.received_at),
            "message_id": row.message_id,
        }
        # The document goes in as it was sent, to the last digit.
        return json.dumps(known, ensure_ascii=False)[:-1].encode() + b', "payload": ' + row.payload + b"}\n"


class _BatchEvents:
    def __init__(self, writer: Callable[[Any], Any]) -> None:
        self._sink = Sink()
        self._open = writer
        self._writer: Any = None

    def start(self) -> bytes:
        self._writer = self._open(pa.PythonFile(self._sink, "w"))
        return self._sink.taken()

    def add(self, uids: Uids, rows: Sequence[Row]) -> bytes:
        self._writer.write_batch(_batch(uids, rows))
        return self._sink.taken()

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


def _batch(uids: Uids, rows: Sequence[Row]) -> pa.RecordBatch:
    columns: list[Sequence[object]] = [
        [row.id for row in rows],
        [row.device_id for row in rows],
        [uids[row.device_id] for row in rows],
        [row.event_type for row in rows],
        [row.observed_at for row in rows],
        [row.received_at for row in rows],
        [row.message_id for row in rows],
        [row.payload.decode() for row in rows],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


EVENT_ENCODERS: dict[Format, Callable[[], EventEncoder]] = {
    "csv": CsvEvents,
    "jsonl": JsonEvents,
    "parquet": lambda: _BatchEvents(lambda file: pq.ParquetWriter(file, SCHEMA, compression="zstd")),
    "arrow": lambda: _BatchEvents(lambda file: pa.ipc.new_stream(file, SCHEMA)),
}
