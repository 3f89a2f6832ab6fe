"""Where a text file of readings or events that broke off ends, so that its rest can be asked for."""

import csv
import json
from pathlib import Path

from roost.core.clock import parse_time
from roost.telemetry.transfer.wanted import Format, Position

# Lines of one device and moment beyond this are more than anybody sends.
TAIL_BYTES = 16 * 1024 * 1024


def cut_to_whole_lines(path: Path) -> None:
    """Takes away what is there of a line that is not whole."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        start = max(0, size - TAIL_BYTES)
        file.seek(start)
        file.truncate(start + file.read().rfind(b"\n") + 1)


def resume_readings(path: Path, kind: Format) -> str | None:
    """What `resume` takes for the rest of a file with these whole lines of readings; None when there are none."""
    lines = _last_lines(path, kind)
    if not lines:
        return None
    device_id, time = last = _place(lines[-1], kind)
    rows = 0
    for line in reversed(lines):
        if _place(line, kind) != last:
            break
        rows += 1
    return str(Position(device_id, time, rows))


def resume_events(path: Path, kind: Format) -> str | None:
    """The same for events."""
    lines = _last_lines(path, kind)
    if not lines:
        return None
    last = lines[-1]
    return str(json.loads(last)["id"]) if kind == "jsonl" else str(int(last.partition(",")[0]))


def _last_lines(path: Path, kind: Format) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - TAIL_BYTES)
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")[:-1]
    # The first is either the header or, further on in the file, not whole.
    return lines[1:] if start or kind == "csv" else lines


def _place(line: str, kind: Format) -> tuple[int, int]:
    if kind == "jsonl":
        row = json.loads(line)
        return int(row["device_id"]), parse_time(row["time"])
    cells = next(csv.reader([line]))
    return int(cells[0]), parse_time(cells[3])
