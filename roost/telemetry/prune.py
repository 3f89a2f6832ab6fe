"""Deleting from the slices of a folder, also while a hub is writing to it."""

import importlib
from pathlib import Path

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks.file import FILE

CHUNK = 5_000


# Every id there is.
ANY_ID = 2**63 - 1


def prune_folder(folder: Path, before: int, through_id: int = ANY_ID) -> int:
    """Deletes what was observed before `before` (ms) from slices and blocks. The number of messages.

    What has a higher id than `through_id` may stay.
    """
    deleted = prune_slices(folder, before, through_id)
    if (folder / FILE).exists():
        # After the slices: what is sealed in the meantime is found here.
        changes = importlib.import_module("roost.telemetry.blocks.changes")
        deleted += changes.prune_blocks(folder, before, through_id)
    return deleted


def prune_slices(folder: Path, before: int, through_id: int = ANY_ID) -> int:
    """The same for the slices alone; whole files where that is possible."""
    deleted = 0
    for path in sorted(folder.glob("head_*.db")):
        try:
            connection = slices.connect(path)
        except apsw.CantOpenError:
            continue  # sealed just now
        try:
            if not connection.pragma("user_version"):
                continue  # a hub is just creating it
            closed, last = connection.execute("SELECT closed, last_observed_at FROM slice").get
            last_id = connection.execute("SELECT max(id) FROM head").get or 0
            whole = bool(closed) and (last is None or last < before) and last_id <= through_id
            if whole:
                deleted += int(connection.execute("SELECT count(*) FROM head").get)
            else:
                deleted += delete_rows(connection, f"id <= {int(through_id)} AND observed_at < ?", before)
        finally:
            connection.close()
        if whole:
            slices.remove(path)
    return deleted


def delete_rows(connection: apsw.Connection, condition: str, value: int) -> int:
    """Deletes in short transactions, so that a hub that writes to the same slice waits for milliseconds at most."""
    deleted = 0
    while True:
        with slices.writing(connection):
            connection.execute(
                f"DELETE FROM head WHERE id IN (SELECT id FROM head WHERE {condition} LIMIT {CHUNK})",  # noqa: S608
                (value,),
            )
            changes = connection.changes()
        deleted += changes
        if changes < CHUNK:
            slices.move_to_place(connection)
            return deleted
