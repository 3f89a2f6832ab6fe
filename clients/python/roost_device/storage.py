"""The device's own small database: what waits to be sent, and what became of its tasks."""

import fcntl
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

FILE = "device.db"
LOCK = "lock"
_TABLES = """
CREATE TABLE IF NOT EXISTS origin (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS task (
    id INTEGER PRIMARY KEY, document TEXT NOT NULL, outcome TEXT, memory TEXT, begun_at REAL NOT NULL
);
"""

_log = logging.getLogger(__name__)


class Storage:
    """An SQLite file in `folder`; a commit is on disk when it returns. Threads take turns.

    Raises OSError when it cannot be written. A file that a failing card has damaged is put aside, and a new one begun:
    a device that sends again is worth more than one that does not start.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        path = folder / FILE
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OSError(f"{path} cannot be used: {error}") from error
            aside = path.with_suffix(f".damaged-{int(time.time())}")
            _log.error("%s is damaged (%s); it is kept as %s, and what waited in it was not sent.", path, error, aside)
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _open(path)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens together or not at all. Raises sqlite3.Error, a full disk above all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Give the file back; nothing may be asked afterwards."""
        with self._lock:
            self._connection.close()


class Claim:
    """That this program, and no other, is the device whose folder it is: two of them would do every task twice."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: TextIO | None = None

    def take(self) -> None:
        """Raises OSError when another program has it. It ends with the program, however that ends."""
        if self._file is not None:
            return
        file = self._path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise OSError(f"Another program uses {self._path.parent} already; stop it first.") from None
        self._file = file

    def give_back(self) -> None:
        """Others may have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_TABLES)
        connection.execute("SELECT count(*) FROM message").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
