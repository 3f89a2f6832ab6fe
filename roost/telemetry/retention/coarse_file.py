"""Where buckets stand on SQLite: a table beside the sealed blocks, which begins to exist with the first of them.

So what goes out of a block and into a bucket does so in one transaction.
"""

import json
from collections.abc import Sequence

import apsw

from roost.telemetry.log import CoarseRow

_SCHEMA = """
CREATE TABLE IF NOT EXISTS coarse(device_id INTEGER NOT NULL, width_ms INTEGER NOT NULL, start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (device_id, start_at, width_ms)) WITHOUT ROWID
"""


def is_there(blocks: apsw.Connection) -> bool:
    """Whether there ever was a bucket."""
    return bool(blocks.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'coarse')").get)


def rows_between(blocks: apsw.Connection, device_id: int, since: int, until: int, limit: int = -1) -> list[CoarseRow]:
    """See `Log.coarse`."""
    if not is_there(blocks):
        return []
    cursor = blocks.execute(
        "SELECT width_ms, start_at, end_at, data FROM coarse WHERE device_id = ? AND start_at < ? AND end_at > ?"
        " ORDER BY start_at, width_ms LIMIT ?",
        (device_id, until, since, limit),
    )
    return [CoarseRow(*row) for row in cursor]


def row_at(blocks: apsw.Connection, device_id: int, width_ms: int, start: int) -> CoarseRow | None:
    """The row of one period."""
    if not is_there(blocks):
        return None
    cursor = blocks.execute(
        "SELECT width_ms, start_at, end_at, data FROM coarse WHERE device_id = ? AND width_ms = ? AND start_at = ?",
        (device_id, width_ms, start),
    )
    return next((CoarseRow(*row) for row in cursor), None)


def put(blocks: apsw.Connection, device_id: int, row: CoarseRow) -> None:
    """In place of the row of that period, within the caller's transaction."""
    blocks.execute(_SCHEMA)
    blocks.execute(
        "INSERT OR REPLACE INTO coarse(device_id, width_ms, start_at, end_at, data) VALUES (?, ?, ?, ?, ?)",
        (device_id, *row),
    )


def remove(blocks: apsw.Connection, device_id: int, row: CoarseRow) -> None:
    blocks.execute(
        "DELETE FROM coarse WHERE device_id = ? AND width_ms = ? AND start_at = ?", (device_id, row.width_ms, row.start)
    )


def remove_devices(blocks: apsw.Connection, device_ids: Sequence[int]) -> None:
    """All of them, within the caller's transaction."""
    if is_there(blocks):
        blocks.execute(
            "DELETE FROM coarse WHERE device_id IN (SELECT value FROM json_each(?))", (json.dumps(list(device_ids)),)
        )


def prune(blocks: apsw.Connection, before: int) -> None:
    """Takes away the rows of all devices that have ended by then (ms), within the caller's transaction."""
    blocks.execute("DELETE FROM coarse WHERE end_at <= ?", (before,))


def rows_across(blocks: apsw.Connection, moment: int) -> list[tuple[int, CoarseRow]]:
    """With their devices, the rows that have begun by this moment (ms) and not ended."""
    cursor = blocks.execute(
        "SELECT device_id, width_ms, start_at, end_at, data FROM coarse WHERE start_at < ?1 AND end_at > ?1", (moment,)
    )
    return [(device_id, CoarseRow(*row)) for device_id, *row in cursor]


def devices_with(blocks: apsw.Connection) -> set[int]:
    """Those of which there are buckets."""
    return {row[0] for row in blocks.execute("SELECT DISTINCT device_id FROM coarse")} if is_there(blocks) else set()
