"""Files that an export has made, as the lines that an import takes."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from roost.core.clock import rfc3339
from roost.telemetry.transfer.cells import plain_text

ROWS_AT_ONCE = 10_000
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")

Lines = Iterator[tuple[int, bytes]]


def read_own(path: Path, kind: str) -> Lines:
    """Number of the row, from 1, and its line. Raises ValueError for a file that is none of ours, OSError."""
    if kind == "jsonl":
        return _json_lines(path)
    return _csv_lines(path) if kind == "csv" else _arrow_lines(path, kind)


def _json_lines(path: Path) -> Lines:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip(b"\r\n")


def _csv_lines(path: Path) -> Lines:
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        names = set(rows.fieldnames or ())
        if not names >= {"device_uid", "time"} or not (names >= {"sensor_type", "value"} or "event_type" in names):
            raise ValueError("It has no columns device_uid, sensor_type, time, value; `--from csv` reads other ones.")
        for number, row in enumerate(rows, 1):
            yield number, _event_line(row) if "event_type" in names else _reading_line(row)


def _reading_line(row: dict[str, str]) -> bytes:
    fields = {name: plain_text(row[name] or "") for name in ("device_uid", "sensor_type", "time")}
    if row.get("unit"):
        fields["unit"] = plain_text(row["unit"])
    return _joined(fields, row.get("device_id"), "value", _literal(row["value"]))


def _event_line(row: dict[str, str]) -> bytes:
    fields = {name: plain_text(row[name] or "") for name in ("device_uid", "event_type", "time")}
    if row.get("message_id"):
        fields["message_id"] = plain_text(row["message_id"])
    return _joined(fields, row.get("device_id"), "payload", row.get("payload") or "null")


def _joined(fields: dict[str, Any], device_id: str | None, name: str, literal: str) -> bytes:
    if device_id and device_id.isdecimal():
        fields["device_id"] = int(device_id)
    return f'{json.dumps(fields)[:-1]}, "{name}": {literal}}}'.encode()


def _literal(cell: str | None) -> str:
    """The value as JSON; what is none goes on as a text, and is refused with its line."""
    text = (cell or "").strip()
    return text if text in {"true", "false"} or _NUMBER.fullmatch(text) else json.dumps(text)


def _arrow_lines(path: Path, kind: str) -> Lines:
    # Costs a tenth of a second to load, which the other formats need not pay.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if kind == "parquet":
            batches = pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE)
        else:
            batches = iter(pa.ipc.open_stream(pa.memory_map(str(path))))
        number = 0
        for batch in batches:
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                for row in batch.slice(start, ROWS_AT_ONCE).to_pylist():
                    number += 1
                    yield number, _row_line(row)
    except (pa.ArrowInvalid, KeyError) as error:
        raise ValueError(str(error)) from None


def _row_line(row: dict[str, Any]) -> bytes:
    at: datetime = row["time"]
    fields = {"device_uid": row["device_uid"], "device_id": row.get("device_id"), "time": rfc3339(at)}
    if "event_type" in row:
        fields |= {"event_type": row["event_type"], "message_id": row.get("message_id")}
        return f'{json.dumps(fields)[:-1]}, "payload": {row["payload"]}}}'.encode()
    exact = [row.get(name) for name in ("boolean", "integer") if row.get(name) is not None]
    fields |= {"sensor_type": row["sensor_type"], "value": exact[0] if exact else row["value"]}
    if row.get("unit") is not None:
        fields["unit"] = row["unit"]
    return json.dumps(fields).encode()
