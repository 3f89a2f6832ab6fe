"""Which message ids the log has seen lately in slices that are no longer written.

A closed slice knows its own; when it is sealed, those of the last 24 hours are put into a small file beside it, which
is removed as a whole once they are older.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from roost.telemetry import slices

RESEND_WINDOW_MS = 24 * 3600 * 1000
RESEND_SLICES = 8

_SCHEMA = """
CREATE TABLE head(device_id INTEGER NOT NULL, message_id TEXT NOT NULL, received_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, message_id)) WITHOUT ROWID;
CREATE TABLE slice(last_received_at INTEGER);
"""


class ClosedIds:
    """The ids of the newest closed slices, sealed or not; used by the writer's thread alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slices: list[slices.Slice] = []
        self._probes: dict[int, apsw.Connection] = {}

    def start(self, closed: Sequence[slices.Slice]) -> None:
        """Begins with the closed slices that are there, and with what is kept of sealed ones."""
        there = {part.number for part in closed}
        kept = [_kept_slice(self._folder, path) for path in self._folder.glob("ids_*.db")]
        every = [*closed, *(part for part in kept if part.number not in there)]
        self._slices = sorted(every, key=lambda part: part.number)[-RESEND_SLICES:]

    def add(self, closed: slices.Slice) -> None:
        """A slice has just been closed."""
        self._slices = [*self._slices, closed][-RESEND_SLICES:]
        kept = {part.number for part in self._slices}
        self._close([number for number in self._probes if number not in kept])

    def has(self, device_id: int, message_id: str, since: int) -> bool:
        """Whether a message with this id was received at or after `since` (ms) in one of these slices."""
        return any(
            self._probe(closed, device_id, message_id, since)
            for closed in self._slices
            if closed.last_received_at >= since
        )

    def let_go(self) -> None:
        """Closes files that have been removed, so that their space is given back."""
        self._close([part.number for part in self._slices if not part.path.exists()])

    def close(self) -> None:
        self._close(list(self._probes))

    def _probe(self, closed: slices.Slice, device_id: int, message_id: str, since: int) -> bool:
        if closed.open is not None and hash((device_id, message_id)) not in closed.open.message_ids:
            return False
        connection = self._probes.get(closed.number) or self._connect(closed)
        if connection is None:
            return False
        return bool(
            connection.execute(
                "SELECT 1 FROM head WHERE device_id = ? AND message_id = ? AND received_at >= ? LIMIT 1",
                (device_id, message_id, since),
            ).get
        )

    def _connect(self, closed: slices.Slice) -> apsw.Connection | None:
        # The file of ids is complete before the slice is removed, so one of them is there unless both were pruned.
        with suppress(apsw.CantOpenError):
            self._probes[closed.number] = slices.connect(closed.path)
            return self._probes[closed.number]
        with suppress(apsw.CantOpenError):
            path = str(_ids_path(self._folder, closed.number))
            self._probes[closed.number] = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
            return self._probes[closed.number]
        return None

    def _close(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if number in self._probes:
                self._probes.pop(number).close()


def keep_message_ids(folder: Path, number: int, head: apsw.Connection, now_ms: int) -> None:
    """Puts the ids of a closed slice that are still recognised beside it. Repeatable."""
    since = now_ms - RESEND_WINDOW_MS
    found: list[Any] = head.execute(
        "SELECT device_id, message_id, max(received_at) FROM head WHERE message_id IS NOT NULL AND received_at >= ?"
        " GROUP BY device_id, message_id",
        (since,),
    ).fetchall()
    if not found:
        return
    path = _ids_path(folder, number)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    connection = apsw.Connection(str(part))
    connection.pragma("synchronous", "FULL")
    connection.pragma("fullfsync", 1)
    with connection:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT INTO head VALUES (?, ?, ?)", found)
        connection.execute("INSERT INTO slice VALUES (?)", (max(row[2] for row in found),))
    connection.close()
    part.rename(path)
    slices.sync_folder(folder)


def remove_old_message_ids(folder: Path, now_ms: int) -> None:
    """Removes the files whose ids are all older than the window."""
    for path in folder.glob("ids_*.db"):
        if _last_received_at(path) < now_ms - RESEND_WINDOW_MS:
            path.unlink(missing_ok=True)


def _ids_path(folder: Path, number: int) -> Path:
    return folder / f"ids_{number:08d}.db"


def _kept_slice(folder: Path, path: Path) -> slices.Slice:
    number = int(path.stem.removeprefix("ids_"))
    return slices.Slice(number, slices.slice_path(folder, number), last_received_at=_last_received_at(path))


def _last_received_at(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.execute("SELECT last_received_at FROM slice").get)
    finally:
        connection.close()
