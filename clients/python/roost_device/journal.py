"""What became of each task, on disk: a task is not done twice because the device or its hub went away in the middle."""

import json
import time
from dataclasses import dataclass
from typing import Any

from roost_device.storage import Storage

# A hub keeps no task for longer without ending it: its outcome is not asked for again.
KEEP_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A task that was begun. `outcome` is None until it has ended; `memory` is what its handler asked to keep."""

    document: dict[str, Any]
    outcome: dict[str, Any] | None
    memory: dict[str, Any]


class Journal:
    """One entry for each task from before it is run until the hub has its outcome."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        with storage.transaction() as connection:
            connection.execute("DELETE FROM task WHERE begun_at < ?", (time.time() - KEEP_S,))

    def begin(self, document: dict[str, Any]) -> Entry | None:
        """Note that the task is about to be run, under its present lease; answers what is known of an earlier run."""
        encoded = json.dumps(document)
        with self._storage.transaction() as connection:
            before = connection.execute(
                "SELECT document, outcome, memory FROM task WHERE id = ?", (document["id"],)
            ).fetchone()
            connection.execute(
                "INSERT INTO task (id, document, begun_at) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (document["id"], encoded, time.time()),
            )
        return _entry(before) if before else None

    def remember(self, task_id: int, memory: dict[str, Any]) -> None:
        """Keep something for the time after a restart."""
        with self._storage.transaction() as connection:
            connection.execute("UPDATE task SET memory = ? WHERE id = ?", (json.dumps(memory), task_id))

    def finish(self, task_id: int, outcome: dict[str, Any]) -> None:
        """The task has ended; the hub does not know yet."""
        with self._storage.transaction() as connection:
            connection.execute("UPDATE task SET outcome = ? WHERE id = ?", (json.dumps(outcome), task_id))

    def forget(self, task_id: int) -> None:
        """The hub knows, or wants to know no more."""
        with self._storage.transaction() as connection:
            connection.execute("DELETE FROM task WHERE id = ?", (task_id,))

    def open(self) -> list[Entry]:
        """What was begun and is not known to the hub, in the order in which it was begun."""
        with self._storage.transaction() as connection:
            rows = connection.execute("SELECT document, outcome, memory FROM task ORDER BY begun_at, id").fetchall()
        return [_entry(row) for row in rows]


def _entry(row: tuple[str, str | None, str | None]) -> Entry:
    document, outcome, memory = row
    return Entry(json.loads(document), json.loads(outcome) if outcome else None, json.loads(memory) if memory else {})
