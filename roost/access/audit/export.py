"""The audit log as a file: CSV for spreadsheets, JSON lines for programs, piece by piece."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

from roost.access.audit.schemas import COLUMNS, as_json

Format = Literal["csv", "jsonl"]
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
# With one of these at the front a spreadsheet takes a cell for a formula, and may run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


async def encode(pieces: AsyncIterator[list[dict[str, Any]]], kind: Format) -> AsyncIterator[bytes]:
    """Rows of the table as bytes of the file."""
    if kind == "csv":
        yield _csv_lines([dict(zip(COLUMNS, COLUMNS, strict=True))])
    async for rows in pieces:
        entries = [as_json(row) for row in rows]
        yield _csv_lines(entries) if kind == "csv" else _json_lines(entries)


def _json_lines(entries: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries).encode()


def _csv_lines(entries: list[dict[str, Any]]) -> bytes:
    lines = io.StringIO()
    writer = csv.writer(lines)
    for entry in entries:
        writer.writerow([_cell(entry[name]) for name in COLUMNS])
    return lines.getvalue().encode()


def _cell(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"'{text}" if text.startswith(_FORMULA) else text
