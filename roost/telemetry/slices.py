"""One slice of the log on SQLite: a file of its own, written without any index, indexed once it is closed.

An index while writing would cost five times the insert; so the open slice is read through row numbers kept in memory,
and the closed ones through an index that is built in one go.
"""

import os
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from roost.telemetry.log import Row

FORMAT = 1
COLUMNS = "id, device_id, observed_at, received_at, event_type, payload, units, message_id"
BUSY_TIMEOUT_MS = 5_000
NOBODY = 0
# First and last time of what is in a slice without a row: everything that comes widens it.
NOTHING_YET = (2**63 - 1, -(2**63), -(2**63))

_SCHEMA = f"""
CREATE TABLE head(id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL, observed_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL, event_type TEXT, payload BLOB NOT NULL, units BLOB, message_id TEXT);
CREATE TABLE slice(first_id INTEGER NOT NULL, opened_at INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
    first_observed_at INTEGER, last_observed_at INTEGER, last_received_at INTEGER);
PRAGMA user_version = {FORMAT};
"""


def slice_path(folder: Path, number: int) -> Path:
    return folder / f"head_{number:08d}.db"


def slice_number(path: Path) -> int:
    return int(path.stem.removeprefix("head_"))


def connect(path: Path, *, create: bool = False) -> apsw.Connection:
    """A connection whose commits are on disk when they return."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    # On macOS a plain fsync stops at the drive's cache; elsewhere this changes nothing.
    connection.pragma("fullfsync", 1)
    connection.pragma("wal_autocheckpoint", 0)
    return connection


def create(path: Path, first_id: int, opened_at: int) -> apsw.Connection:
    connection = connect(path, create=True)
    with connection:
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO slice(first_id, opened_at) VALUES (?, ?)", (first_id, opened_at))
    return connection


def is_complete(path: Path) -> bool:
    """False for a file whose creation was cut short: it holds nothing yet."""
    connection = connect(path)
    try:
        version = connection.pragma("user_version")
        if version > FORMAT:
            raise RuntimeError(f"{path} was written by a newer version of Roost (format {version}).")
        return bool(version)
    finally:
        connection.close()


class OpenSlice:
    """What is known in memory about a slice without an index: which rows are whose, and the message ids.

    The writer only notes whose the next rows are, and the span of their times; the rows are sorted by device when
    somebody reads, on the reader's time.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.first_id: int
        self.opened_at: int
        self.first_id, self.opened_at = connection.execute("SELECT first_id, opened_at FROM slice").get
        self.next_id = self.first_id
        self.message_ids: dict[int, int] = {}
        self.first_observed_at, self.last_observed_at, self.last_received_at = NOTHING_YET
        self._owners = array("q")
        self._sorted = 0
        self._rows: dict[int, array[int]] = {}
        self._sorting = threading.Lock()
        for row_id, device_id, observed_at, received_at, message_id in connection.execute(
            "SELECT id, device_id, observed_at, received_at, message_id FROM head ORDER BY id"
        ):
            self._owners.extend([NOBODY] * (row_id - self.next_id))  # rows that were pruned
            self.append([device_id], observed_at, observed_at, received_at)
            if message_id is not None:
                self.message_ids[hash((device_id, message_id))] = row_id
            self.next_id = row_id + 1

    def append(
        self, device_ids: Sequence[int], first_observed_at: int, last_observed_at: int, last_received_at: int
    ) -> None:
        """The next rows of the slice are on disk, belong to these devices and lie between these times."""
        self._owners.extend(device_ids)
        self.next_id += len(device_ids)
        self.first_observed_at = min(self.first_observed_at, first_observed_at)
        self.last_observed_at = max(self.last_observed_at, last_observed_at)
        self.last_received_at = max(self.last_received_at, last_received_at)

    def rows_of(self, device_id: int) -> list[int]:
        """The row ids of a device, ascending."""
        with self._sorting:
            self._sort()
            return list(self._rows.get(device_id, ()))

    def owners(self) -> set[int]:
        """The devices that have rows."""
        with self._sorting:
            self._sort()
            return set(self._rows)

    def _sort(self) -> None:
        end = len(self._owners)
        for place in range(self._sorted, end):
            owner = self._owners[place]
            rows = self._rows.get(owner)
            if rows is None:
                rows = self._rows[owner] = array("q")
            rows.append(self.first_id + place)
        self._sorted = end


@dataclass(slots=True)
class Slice:
    """A slice as readers see it. `open` is there while the slice has no index: it is being written or closed."""

    number: int
    path: Path
    first_observed_at: int = 0
    last_observed_at: int = 2**63 - 1
    last_received_at: int = 2**63 - 1
    open: OpenSlice | None = None


def close_slice(path: Path) -> None:
    """Makes a slice that is no longer written quick to read. Idempotent; a crash in between is made good at start."""
    connection = connect(path)
    try:
        with writing(connection):
            connection.execute("CREATE INDEX IF NOT EXISTS head_device ON head(device_id, observed_at)")
            connection.execute(
                "CREATE INDEX IF NOT EXISTS head_message ON head(device_id, message_id) WHERE message_id IS NOT NULL"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS head_event ON head(id) WHERE event_type IS NOT NULL")
            connection.execute(
                "UPDATE slice SET closed = 1, (first_observed_at, last_observed_at, last_received_at) ="
                " (SELECT min(observed_at), max(observed_at), max(received_at) FROM head)"
            )
        with suppress(apsw.BusyError):  # somebody is reading: the last one to leave moves it to its place
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()


@contextmanager
def writing(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that nobody else writes beside, from its beginning: what it reads is what it changes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def is_closed(path: Path) -> bool:
    """Whether a slice is no longer written and has its index. False for one that was removed just now."""
    try:
        connection = connect(path)
    except apsw.CantOpenError:
        return False
    try:
        return bool(connection.pragma("user_version") and connection.execute("SELECT closed FROM slice").get)
    finally:
        connection.close()


def rows_of_device(connection: apsw.Connection, device_id: int) -> list[Row]:
    """All messages of a device in a closed slice, by time and arrival."""
    sql = f"SELECT {COLUMNS} FROM head WHERE device_id = ? ORDER BY observed_at, id"  # noqa: S608 - own words
    return as_rows(connection.execute(sql, (device_id,)))


def remove(path: Path) -> None:
    """Removes the file of a slice, and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A file's name is on the disk only when this has returned."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint(path: Path) -> None:
    """Moves what is committed from the write-ahead log to its place, without making the writer wait."""
    connection = connect(path)
    try:
        move_to_place(connection)
    finally:
        connection.close()


def move_to_place(connection: apsw.Connection) -> None:
    """The same over a connection that is there already."""
    with suppress(apsw.BusyError):  # somebody else is at it
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def as_rows(cursor: Iterator[tuple[object, ...]]) -> list[Row]:
    return [Row(*values) for values in cursor]  # type: ignore[arg-type]
