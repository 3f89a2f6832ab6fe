"""Messages that wait on disk until the hub has them."""

import json
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from roost_device.storage import Storage

LARGEST_MESSAGE_BYTES = 16 * 1024
# A batch that the hub takes has at most 500 messages and 1 MiB; brackets and commas count.
BATCH_MESSAGES = 500
BATCH_BYTES = 1_000_000
CAPACITY = 500_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message as it will be sent: `body` is one JSON object."""

    id: int
    body: bytes


class Spool:
    """First in, first out. Beyond `capacity` messages the oldest go, which is counted and logged."""

    def __init__(self, storage: Storage, capacity: int = CAPACITY) -> None:
        self._storage = storage
        self._capacity = capacity
        self._room = threading.Condition()
        self.dropped = 0
        with storage.transaction() as connection:
            row = connection.execute("SELECT name FROM origin").fetchone()
            if row is None:
                row = (secrets.token_hex(6),)
                connection.execute("INSERT INTO origin VALUES (?)", row)
            self._waiting = int(connection.execute("SELECT count(*) FROM message").fetchone()[0])
            # Numbers are never given twice, also when every message before was sent and removed.
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
        self._origin = str(row[0])
        self._last_id = int(last[0]) if last else 0

    def __len__(self) -> int:
        return self._waiting

    def append(self, payload: dict[str, Any], *, event_type: str | None = None, ts_ms: int | None = None) -> str:
        """Keep a message; it is on disk when this returns. Answers its `message_id`, by which the hub knows it again.

        Raises ValueError when it is larger than the hub takes, sqlite3.Error when it cannot be written.
        """
        with self._room:
            number = self._last_id + 1
            message: dict[str, Any] = {
                "payload": payload,
                "ts": int(time.time() * 1000) if ts_ms is None else ts_ms,
                "message_id": f"{self._origin}-{number}",
            }
            if event_type is not None:
                message["event_type"] = event_type
            body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
            if len(body) > LARGEST_MESSAGE_BYTES:
                raise ValueError(f"A message may have {LARGEST_MESSAGE_BYTES} bytes; this one has {len(body)}.")
            with self._storage.transaction() as connection:
                connection.execute("INSERT INTO message (id, body) VALUES (?, ?)", (number, body))
                excess = self._waiting + 1 - self._capacity
                if excess > 0:
                    connection.execute(
                        "DELETE FROM message WHERE id IN (SELECT id FROM message ORDER BY id LIMIT ?)", (excess,)
                    )
            self._last_id = number
            self._waiting += 1
            if excess > 0:
                self._drop(excess)
            self._room.notify_all()
        return str(message["message_id"])

    def oldest(self, limit: int = BATCH_MESSAGES) -> list[Spooled]:
        """The next batch, oldest first; empty when all is sent."""
        batch: list[Spooled] = []
        size = 2
        with self._storage.transaction() as connection:
            for number, body in connection.execute("SELECT id, body FROM message ORDER BY id LIMIT ?", (limit,)):
                size += len(body) + 1
                if batch and size > BATCH_BYTES:
                    break
                batch.append(Spooled(number, body))
        return batch

    def remove(self, messages: list[Spooled]) -> None:
        """The hub has them, or will never take them."""
        with self._room:
            with self._storage.transaction() as connection:
                # Some may have been dropped for newer ones while they were on their way.
                gone = sum(
                    connection.execute("DELETE FROM message WHERE id = ?", (message.id,)).rowcount
                    for message in messages
                )
            self._waiting -= gone
            self._room.notify_all()

    def wait_for_messages(self, stopped: threading.Event) -> bool:
        """Whether there is something to send; waits for it until `stopped` is set, which `wake()` has to tell."""
        with self._room:
            self._room.wait_for(lambda: self._waiting > 0 or stopped.is_set())
            return self._waiting > 0

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether everything is sent; waits for it."""
        with self._room:
            return self._room.wait_for(lambda: self._waiting == 0, timeout_s)

    def wake(self) -> None:
        """Let those who wait look again: the program is being stopped."""
        with self._room:
            self._room.notify_all()

    def _drop(self, excess: int) -> None:
        if not self.dropped:
            _log.warning("The spool is full (%d messages): the oldest ones are dropped for new ones.", self._capacity)
        self._waiting -= excess
        self.dropped += excess
