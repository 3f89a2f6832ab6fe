"""Deleting from the slices of a folder, also while a hub is writing to it."""

from pathlib import Path

import apsw

from roost.telemetry import slices

CHUNK = 5_000


def prune_folder(folder: Path, before: int) -> int:
    """Deletes what was observed before `before` (ms); whole slices where that is possible. The number of messages."""
    deleted = 0
    for path in sorted(folder.glob("head_*.db")):
        connection = slices.connect(path)
        try:
            if not connection.pragma("user_version"):
                continue  # a hub is just creating it
            closed, last = connection.execute("SELECT closed, last_observed_at FROM slice").get
            whole = bool(closed) and (last is None or last < before)
            if whole:
                deleted += int(connection.execute("SELECT count(*) FROM head").get)
            else:
                deleted += delete_rows(connection, "observed_at < ?", before)
        finally:
            connection.close()
        if whole:
            remove_slice(path)
    return deleted


def delete_rows(connection: apsw.Connection, condition: str, value: int) -> int:
    """Deletes in short transactions, so that a hub that writes to the same slice waits for milliseconds at most."""
    deleted = 0
    while True:
        with connection:
            connection.execute(
                f"DELETE FROM head WHERE id IN (SELECT id FROM head WHERE {condition} LIMIT {CHUNK})",  # noqa: S608
                (value,),
            )
            changes = connection.changes()
        deleted += changes
        if changes < CHUNK:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            return deleted


def remove_slice(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
