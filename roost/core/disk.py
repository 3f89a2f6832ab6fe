"""How much room the data folder's disk has, and what is therefore no longer taken, before the file system is full.

A hub whose disk is full to the last byte can still refuse, but it cannot tidy up: sealing, pruning and moving a
write-ahead log to its place all need some room first.
"""

import asyncio
import contextlib
import enum
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from roost.core.errors import NoRoom

EVERY_S = 1.0
MEBIBYTE = 1024 * 1024
# Of what has to be free this part is kept back from telemetry too.
RESERVE = 4

_log = logging.getLogger(__name__)


class Room(enum.Enum):
    """What there is room for."""

    ALL = "nothing"
    TELEMETRY = "less_important"
    NONE = "everything"


class DiskGuard:
    """Looks once a second. Reading what it saw is no system call.

    Below `min_free_mib` there is room for telemetry only, below a quarter of it for nothing; 0: it never refuses.
    """

    def __init__(self, folder: Path, min_free_mib: int, *, free: Callable[[Path], int] | None = None) -> None:
        self._folder = folder
        self._min_free = min_free_mib * MEBIBYTE
        self._free = free or _free_bytes
        self._task: asyncio.Task[None] | None = None
        self.room = Room.ALL

    async def start(self) -> None:
        if self._min_free:
            await self.look()
            self._task = asyncio.create_task(self._run(), name="disk-guard")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def look(self) -> None:
        """See how it is now; what has changed is said in the log."""
        try:
            free = await asyncio.to_thread(self._free, self._folder)
        except OSError as error:
            _log.warning("how much room the disk has cannot be told: %s", error)
            return
        before, self.room = self.room, self._room_at(free)
        if self.room is not before:
            level = logging.INFO if self.room is Room.ALL else logging.WARNING
            _log.log(level, "%d MiB of the disk are free: %s is refused", free // MEBIBYTE, self.room.value)

    def ensure_room(self) -> None:
        """For what is less important than telemetry. Raises NoRoom."""
        if self.room is not Room.ALL:
            raise NoRoom("The hub's disk is nearly full: only telemetry is still stored, and this was not.")

    @property
    def is_full(self) -> bool:
        """Whether telemetry has to be refused, too."""
        return self.room is Room.NONE

    def _room_at(self, free: int) -> Room:
        if free >= self._min_free:
            return Room.ALL
        return Room.TELEMETRY if free >= self._min_free // RESERVE else Room.NONE

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
