"""Files of other systems as the lines that an import takes: any CSV by naming its columns, and line protocol."""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from roost.core.clock import rfc3339_from_ms, to_ms
from roost.telemetry.messages import Value

Lines = Iterator[tuple[int, bytes]]
Cells = dict[str, str]

# What stands where a value was missing; such rows are passed over, as nothing was measured.
NOTHING = frozenset({"", "unknown", "unavailable", "none", "null", "nan", "na", "n/a", "-"})
BOOLEANS = {"on": True, "off": False, "true": True, "false": False, "open": True, "closed": False}
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"[-+]?[0-9]+")
# A count of seconds, milliseconds … since 1970 can be told by its size: the years from 2000 on lie far apart.
_SCALES = ((10**17, 10**6), (10**14, 10**3), (10**11, 1))


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a CSV holds what. `device` and `key` stand for all rows where no column has them.

    With `wide`, every column that is not named here is a series of its own, named by its heading.
    """

    time: str
    value: str | None = None
    device: str | None = None
    device_column: str | None = None
    key: str | None = None
    key_column: str | None = None
    unit_column: str | None = None
    wide: bool = False
    delimiter: str = ","
    zone: tzinfo | None = None


def read_csv(path: Path, columns: Columns) -> Lines:
    """Number of the line, from 1, and a line for each value. Raises ValueError when a column is missing, OSError."""
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=columns.delimiter)
        _require(rows.fieldnames or (), columns)
        for row in rows:
            for key, cell in _values(row, columns):
                yield from _line(rows.line_num, row, columns, key, cell)


def read_annotated(path: Path, columns: Columns) -> Lines:
    """InfluxDB's annotated CSV: tables with headings of their own, after an empty line."""
    csv.field_size_limit(2**24)
    names: list[str] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for cells in reader:
            if not any(cells) or cells[0].startswith("#"):
                names = []
            elif not names:
                names = cells
                _require(names, columns)
            else:
                row = dict(zip(names, cells, strict=False))
                for key, cell in _values(row, columns):
                    yield from _line(reader.line_num, row, columns, key, cell)


def read_line_protocol(path: Path, columns: Columns) -> Lines:
    """InfluxDB's line protocol: a series is named by its field, the device by a tag or for all lines."""
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            line = text.strip()
            if not line or line.startswith("#"):
                continue
            head, fields, at = _protocol_parts(line)
            tags = dict(part.split("=", 1) for part in _split(head, ",")[1:] if "=" in part)
            row = {**{_plain(name): _plain(value) for name, value in tags.items()}, columns.time: at}
            for field in _split(fields, ","):
                name, _, literal = field.partition("=")
                yield from _line(number, row, columns, _plain(name), _protocol_value(literal))


def _require(names: Iterable[str], columns: Columns) -> None:
    asked = (columns.time, columns.value, columns.device_column, columns.key_column, columns.unit_column)
    missing = [name for name in asked if name is not None and name not in names]
    if missing:
        raise ValueError(f"There is no column {missing[0]!r}; there are: {', '.join(names)}.")


def _values(row: Cells, columns: Columns) -> Iterator[tuple[str, str]]:
    if columns.wide:
        taken = {columns.time, columns.device_column, columns.unit_column, columns.key_column}
        yield from ((name, cell) for name, cell in row.items() if name and name not in taken)
    elif columns.value is not None:
        key = row.get(columns.key_column or "") or columns.key or columns.value
        yield key, row.get(columns.value) or ""


def _line(number: int, row: Cells, columns: Columns, key: str, cell: str | None) -> Lines:
    text = (cell or "").strip()
    if text.lower() in NOTHING:
        return
    value = _value(text)
    fields: dict[str, object] = {
        "device_uid": row.get(columns.device_column or "") or columns.device or "",
        "sensor_type": key.strip(),
        "time": _time(row.get(columns.time) or "", columns.zone),
        "value": text if value is None else value,
    }
    unit = row.get(columns.unit_column or "")
    if unit:
        fields["unit"] = unit.strip()
    yield number, json.dumps(fields).encode()


def _value(text: str) -> Value | None:
    """None for a text that is no value: its line is refused with the reason."""
    if text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _time(text: str, zone: tzinfo | None) -> str:
    """RFC 3339; what is no time goes on as it is, and is refused with its line."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _counted(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            if zone is None:
                return text
            moment = moment.replace(tzinfo=zone)
        return rfc3339_from_ms(to_ms(moment))
    except (ValueError, OverflowError):
        return text


def _counted(text: str) -> str:
    try:
        for smallest, a_millisecond in _SCALES:
            if _INTEGER.fullmatch(text) and int(text) >= smallest:
                return rfc3339_from_ms(int(text) // a_millisecond)
        return rfc3339_from_ms(round(float(text) * 1000))
    except (ValueError, OverflowError):
        return text


def _protocol_parts(line: str) -> tuple[str, str, str]:
    parts = _split(line, " ")
    if len(parts) < 2:
        raise ValueError(f"This is no line protocol: {line[:80]!r}.")
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""


def _split(text: str, at: str) -> list[str]:
    """The parts between separators that are neither escaped nor within a quoted text."""
    parts, part, quoted, escaped = [], "", False, False
    for character in text:
        if character == at and not quoted and not escaped:
            parts.append(part)
            part = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
        part += character
    return [*parts, part]


def _plain(text: str) -> str:
    return re.sub(r"\\([,= \\])", r"\1", text)


def _protocol_value(literal: str) -> str:
    if literal in {"t", "T"}:
        return "true"
    if literal in {"f", "F"}:
        return "false"
    if literal.endswith(("i", "u")) and _INTEGER.fullmatch(literal[:-1]):
        return literal[:-1]
    # A number without a suffix is a double, whether it has a point or not.
    return f"{literal}.0" if _INTEGER.fullmatch(literal) else literal
