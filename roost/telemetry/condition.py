"""How the log is doing on its disk: what it takes up, and whether another message could be made safe now."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import apsw
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from roost.core.database import Database
from roost.core.settings import Settings
from roost.telemetry import slices
from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres.schema import SIZE

PROBE_FILE = "probe"
PROBE_BYTES = 4096


class LogCondition(Protocol):
    async def size_bytes(self) -> int:
        """What the log takes up on its disk. Raises LogUnavailable."""

    async def prove_writable(self) -> None:
        """Make something safe where the messages go, without leaving any. Raises LogUnavailable."""


def condition_of(settings: Settings, database: Database) -> LogCondition:
    """That of the log which belongs to this database."""
    if database.dialect == "postgresql":
        return TableCondition(database)
    return FolderCondition(settings.data_dir / "telemetry")


class FolderCondition:
    """The log on SQLite: files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def size_bytes(self) -> int:
        try:
            return await asyncio.to_thread(self._size)
        except OSError as error:
            raise LogUnavailable(str(error)) from error

    async def prove_writable(self) -> None:
        try:
            await asyncio.to_thread(self._prove)
        except (apsw.Error, OSError) as error:
            raise LogUnavailable(str(error)) from error

    def _size(self) -> int:
        size = 0
        for file in self._folder.iterdir():
            with suppress(FileNotFoundError):  # a slice that has just been pruned
                size += file.stat().st_size
        return size

    def _prove(self) -> None:
        # The lock and the pages of the database in a transaction that is taken back, the disk by a file: a commit
        # would let the write-ahead log of a silent hub grow for ever.
        newest = max(self._folder.glob("head_*.db"))
        connection = slices.connect(newest)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE slice SET closed = closed")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
        with (self._folder / PROBE_FILE).open("wb", buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
            os.fsync(probe.fileno())


class TableCondition:
    """The log on PostgreSQL, asked through the state database, which is the same."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prepared = False

    async def size_bytes(self) -> int:
        try:
            async with self._database.read() as session:
                size = await session.scalar(text(SIZE))
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable(str(error)) from error
        return int(size or 0)

    async def prove_writable(self) -> None:
        try:
            async with self._database.write() as session:
                if not self._prepared:
                    await session.execute(
                        text("CREATE TABLE IF NOT EXISTS telemetry.probe (id int PRIMARY KEY, n bigint)")
                    )
                    await session.execute(text("INSERT INTO telemetry.probe VALUES (1, 0) ON CONFLICT DO NOTHING"))
                # Whatever the server's default is: this is about what reaches the disk.
                await session.execute(text("SET LOCAL synchronous_commit = on"))
                await session.execute(text("UPDATE telemetry.probe SET n = n + 1"))
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable(str(error)) from error
        self._prepared = True
