"""The file of sealed blocks on SQLite, `blocks.db`: its tables, and what can be asked of them without decoding.

A block is a narrow row, so that looking for blocks reads few pages, and its bytes stand in a table of their own.
`sealed` says which devices of a slice are in the blocks; it changes in the same transaction as the blocks do, so
whoever reads the slices after taking a snapshot here sees every message once. No cursor is left open between two
calls: it would keep the snapshot of an earlier moment.
"""

# ruff: noqa: S608 - every word of the statements is our own

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from roost.telemetry import slices

FILE = "blocks.db"
FORMAT = 1
# Whoever waits here (sealing, pruning, deleting) is in no hurry.
BUSY_TIMEOUT_MS = 60_000
# Of a block, half a page is lost on average: smaller ones than usual save 4 %.
PAGE_BYTES = 2048
JOURNAL_BYTES = 16 * 1024 * 1024
VACUUM_PAGES = 500
CHUNK = 8
FOREVER = 2**63 - 1

_SCHEMA = f"""
CREATE TABLE block(id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL, start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, rows INTEGER NOT NULL,
    messages INTEGER NOT NULL, points INTEGER NOT NULL, summary BLOB NOT NULL);
CREATE INDEX block_time ON block(device_id, start_at);
CREATE INDEX block_arrival ON block(device_id, last_id);
CREATE TABLE block_data(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE event_block(id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL, start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, rows INTEGER NOT NULL);
CREATE INDEX event_time ON event_block(device_id, start_at);
CREATE INDEX event_arrival ON event_block(device_id, last_id);
CREATE INDEX event_place ON event_block(first_id, last_id);
CREATE TABLE event_data(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE sealed(slice INTEGER NOT NULL, device_id INTEGER NOT NULL, PRIMARY KEY (slice, device_id)) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""


class Meta(NamedTuple):
    """A block as it stands in the table: times in ms, both included; `first_id` and `last_id` of its messages."""

    id: int
    device_id: int
    start: int
    end: int
    first_id: int
    last_id: int
    rows: int

    @property
    def name(self) -> str:
        return f"Block {self.id} of device {self.device_id}"


_META = "id, device_id, start_at, end_at, first_id, last_id, rows"


def connect(folder: Path) -> apsw.Connection | None:
    """A connection to the blocks of a folder; None while there are none."""
    path = folder / FILE
    if not path.exists():
        return None
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE)
    version = connection.pragma("user_version")
    if version == FORMAT:
        return connection
    connection.close()
    if version:
        raise OSError(f"{path} was written by a newer version of Roost (format {version}).")
    return None  # somebody is just creating it


def create(folder: Path) -> apsw.Connection:
    """A connection to the blocks of a folder, which begin to exist if they do not."""
    found = connect(folder)
    if found is not None:
        return found
    connection = _connect(folder / FILE, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    with slices.writing(connection):
        if not connection.pragma("user_version"):
            connection.execute(_SCHEMA)
    slices.sync_folder(folder)
    return connection


def _connect(path: Path, flags: int) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # These two count only before the first table. Incremental: space is given back when it is asked for.
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("auto_vacuum", 2)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.pragma("fullfsync", 1)
    connection.pragma("journal_size_limit", JOURNAL_BYTES)
    return connection


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """Everything read inside is of one moment, which is that of the beginning."""
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM sealed LIMIT 1").fetchall()
        yield
    finally:
        connection.execute("COMMIT")


def sealed_devices(connection: apsw.Connection, slice_number: int) -> set[int]:
    """Whose messages of a slice are in the blocks."""
    return {row[0] for row in connection.execute("SELECT device_id FROM sealed WHERE slice = ?", (slice_number,))}


def is_empty(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT EXISTS (SELECT 1 FROM block) OR EXISTS (SELECT 1 FROM event_block)").get


def reach_into(connection: apsw.Connection, device_id: int, since: int, until: int) -> bool:
    """Whether any block of a device holds something of this time (ms)."""
    sql = "SELECT EXISTS (SELECT 1 FROM {} WHERE device_id = ? AND start_at < ? AND end_at >= ?)"
    values = (device_id, until, since)
    return any(connection.execute(sql.format(table), values).get for table in _DATA)


def arrived_after(connection: apsw.Connection, device_ids: Sequence[int], message_id: int) -> bool:
    """Whether any block of these devices holds a message that arrived after this one."""
    sql = "SELECT EXISTS (SELECT 1 FROM json_each(?) j JOIN {0} b ON b.device_id = j.value WHERE b.last_id > ?)"
    values = (json.dumps(list(device_ids)), message_id)
    return any(connection.execute(sql.format(table), values).get for table in _DATA)


def blocks_between(connection: apsw.Connection, device_id: int, since: int, until: int, limit: int = -1) -> list[Meta]:
    """The blocks of a device that reach into the time from `since` to before `until` (ms), ascending."""
    cursor = connection.execute(
        f"SELECT {_META} FROM block WHERE device_id = ?1 AND start_at < ?3 AND end_at >= ?2 AND start_at >= coalesce("
        "(SELECT max(start_at) FROM block WHERE device_id = ?1 AND start_at <= ?2), ?2) ORDER BY start_at LIMIT ?4",
        (device_id, since, until, limit),
    )
    return [Meta(*row) for row in cursor]


@contextmanager
def summaries_between(
    connection: apsw.Connection, device_ids: Sequence[int], first_since: int, span: tuple[int, int]
) -> Iterator[Iterator[tuple[Meta, bytes]]]:
    """The blocks of these devices that reach into the span (ms), with their summaries, read as they are asked for.

    Of the first device, those that reach into the time from `first_since` on. Device after device, ascending: the words
    CROSS and INDEXED leave no other order. One statement for all is seven times as fast as one for each.
    """
    with closing(connection.cursor()) as cursor:
        rows = cursor.execute(
            "SELECT b.id, b.device_id, b.start_at, b.end_at, b.first_id, b.last_id, b.rows, b.summary"
            " FROM json_each(?1) j CROSS JOIN block b INDEXED BY block_time"
            " ON b.device_id = j.value AND b.start_at < ?4 AND b.end_at >= iif(j.key = 0, ?2, ?3)"
            " AND b.start_at >= coalesce((SELECT max(start_at) FROM block WHERE device_id = j.value"
            " AND start_at <= iif(j.key = 0, ?2, ?3)), ?3)",
            (json.dumps(list(device_ids)), first_since, *span),
        )
        yield ((Meta(*row[:-1]), row[-1]) for row in rows)


def blocks_before(connection: apsw.Connection, device_id: int, since: int, until: int) -> Iterator[Meta]:
    """The same, the newest first, read as they are asked for."""
    while True:
        cursor = connection.execute(
            f"SELECT {_META} FROM block WHERE device_id = ? AND start_at < ? AND end_at >= ? ORDER BY start_at DESC"
            f" LIMIT {CHUNK}",
            (device_id, until, since),
        )
        found = [Meta(*row) for row in cursor]
        yield from found
        if len(found) < CHUNK:
            return
        until = found[-1].start


def events_before(connection: apsw.Connection, device_id: int, since: int, until: int) -> list[Meta]:
    """The blocks of a device's events that reach into this time (ms), the latest end first; they may overlap."""
    cursor = connection.execute(
        f"SELECT {_META} FROM event_block WHERE device_id = ? AND start_at < ? AND end_at >= ? ORDER BY end_at DESC",
        (device_id, until, since),
    )
    return [Meta(*row) for row in cursor]


def by_arrival(
    connection: apsw.Connection, table: str, device_id: int, before_id: int, span: tuple[int, int]
) -> Iterator[Meta]:
    """Blocks of `table` ('block' or 'event_block') with messages before an id, those that arrived last first."""
    below = FOREVER
    while True:
        cursor = connection.execute(
            f"SELECT {_META} FROM {table} WHERE device_id = ? AND last_id < ? AND first_id < ? AND end_at >= ?"
            f" AND start_at < ? ORDER BY last_id DESC LIMIT {CHUNK}",
            (device_id, below, before_id, *span),
        )
        found = [Meta(*row) for row in cursor]
        yield from found
        if len(found) < CHUNK:
            return
        below = found[-1].last_id


def events_with(connection: apsw.Connection, message_id: int) -> list[Meta]:
    """The blocks of events that may hold this one."""
    cursor = connection.execute(
        f"SELECT {_META} FROM event_block WHERE first_id <= ?1 AND last_id >= ?1", (message_id,)
    )
    return [Meta(*row) for row in cursor]


def data_of(connection: apsw.Connection, table: str, block_id: int) -> bytes:
    """The bytes of a block of `table` ('block' or 'event_block')."""
    found: bytes = connection.execute(f"SELECT data FROM {_DATA[table]} WHERE id = ?", (block_id,)).get
    return found


def contents(connection: apsw.Connection, block_ids: Sequence[int]) -> list[bytes]:
    """The bytes of each of these blocks of readings."""
    rows = connection.execute(
        "SELECT d.data FROM json_each(?) j CROSS JOIN block_data d ON d.id = j.value", (json.dumps(list(block_ids)),)
    )
    return [row[0] for row in rows]


def summary_of(connection: apsw.Connection, block_id: int) -> bytes:
    found: bytes = connection.execute("SELECT summary FROM block WHERE id = ?", (block_id,)).get
    return found


def blocks_where(connection: apsw.Connection, table: str, condition: str, value: int, limit: int) -> list[Meta]:
    """Up to `limit` blocks of `table` that meet a condition on its columns, with `?1` for the value."""
    cursor = connection.execute(f"SELECT {_META} FROM {table} WHERE {condition} LIMIT ?2", (value, limit))
    return [Meta(*row) for row in cursor]


def messages_in(connection: apsw.Connection, block_id: int) -> int:
    """The messages in a block that are no events."""
    return int(connection.execute("SELECT messages FROM block WHERE id = ?", (block_id,)).get)


def count_messages(connection: apsw.Connection) -> int:
    """All sealed messages."""
    plain, events = connection.execute(
        "SELECT (SELECT total(messages) FROM block), (SELECT total(rows) FROM event_block)"
    ).get
    return int(plain + events)


def remove(connection: apsw.Connection, table: str, block_ids: Sequence[int]) -> None:
    """Takes blocks away, within the caller's transaction."""
    for block_id in block_ids:
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (block_id,))
        connection.execute(f"DELETE FROM {_DATA[table]} WHERE id = ?", (block_id,))


def give_space_back_when_half_is_free(connection: apsw.Connection) -> None:
    """After small blocks were put together. Less than that is soon filled again."""
    if 2 * int(connection.pragma("freelist_count")) > int(connection.pragma("page_count")):
        give_space_back(connection)
    else:
        slices.move_to_place(connection)


def give_space_back(connection: apsw.Connection) -> None:
    """Returns free pages to the file system, a few at a time, so that nobody waits long."""
    while connection.pragma("freelist_count"):
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    slices.move_to_place(connection)


_DATA = {"block": "block_data", "event_block": "event_data"}
