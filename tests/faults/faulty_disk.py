"""Runs `roost` on a disk that does what a test asks for: `python -m tests.faults.faulty_disk run`.

FAULTS_HOLD: while this file exists, no sync of a file returns; `<name>.waiting` appears when one waits.
FAULTS_SHADOW, FAULTS_DURABLE: the folder FAULTS_SHADOW always holds what would be left of the folder FAULTS_DURABLE
if the power went out now: only what was synced, and only under names whose folder was synced.
FAULTS_UNSYNCED: the log's database does not sync at all, as if somebody had made that mistake.
FAULTS_SLICE_ROWS: rows after which the log starts a new file.
"""

import asyncio
import contextlib
import fcntl
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from roost.cli import main
from roost.core.clock import SystemClock
from roost.core.processes import Ended
from roost.telemetry import sealer, slices, sqlite_log
from roost.telemetry.blocks.sealing import seal_folder

_POLL_S = 0.005
_BESIDE_THE_POINT = ("-shm", "lock")


class Disk:
    """What the process believes to be its disk."""

    def __init__(self) -> None:
        hold = os.environ.get("FAULTS_HOLD")
        self._hold = Path(hold) if hold else None
        shadow = os.environ.get("FAULTS_SHADOW")
        self._shadow = Path(shadow) if shadow else None
        base = os.environ.get("FAULTS_DURABLE")
        self._base = Path(base).resolve() if base else Path("/nowhere")
        self._durable_folders = {self._base}
        self._durable_names: set[Path] = set()
        self._contents: dict[Path, bytes] = {}
        self._lock = threading.Lock()
        self._remember()

    def wait_while_held(self) -> None:
        """Return when nobody holds syncs back."""
        while self._hold is not None and self._hold.exists():
            self._hold.with_suffix(".waiting").touch()
            time.sleep(_POLL_S)

    @property
    def shadowed(self) -> bool:
        """Whether anybody wants to know what is on the disk."""
        return self._shadow is not None

    def file_synced(self, path: Path, content: bytes) -> None:
        """These bytes of the file are on the disk, whether or not it can be found there."""
        with self._lock:
            self._contents[path] = content
            self._show(path)

    def folder_synced(self, folder: Path) -> None:
        """The names in this folder are on the disk."""
        with self._lock:
            names = set(folder.iterdir())
            for path in names:
                if path.is_dir():
                    self._durable_folders.add(path)
                elif not path.name.endswith(_BESIDE_THE_POINT):
                    self._durable_names.add(path)
                    # A file that is renamed once it is complete takes along what was synced of it.
                    self._contents.setdefault(path, self._contents.get(path.with_suffix(".part"), b""))
            for gone in {path for path in self._durable_names if path.parent == folder} - names:
                self._durable_names.discard(gone)
                self._contents.pop(gone, None)
                self._shadow_of(gone).unlink(missing_ok=True)
            for path in sorted(self._durable_names):
                self._show(path)

    def _remember(self) -> None:
        """What an earlier process brought to the disk is still there."""
        if self._shadow is None or not self._shadow.exists():
            return
        for kept in self._shadow.rglob("*"):
            path = self._base / kept.relative_to(self._shadow)
            if kept.is_dir():
                self._durable_folders.add(path)
            elif kept.suffix != ".unfinished":
                self._durable_names.add(path)
                self._contents[path] = kept.read_bytes()

    def _show(self, path: Path) -> None:
        if path not in self._durable_names or not self._durable_folders.issuperset(self._folders_of(path)):
            return
        target = self._shadow_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + ".unfinished")
        unfinished.write_bytes(self._contents.get(path, b""))
        unfinished.rename(target)

    def _folders_of(self, path: Path) -> list[Path]:
        return [folder for folder in path.parents if folder.is_relative_to(self._base)]

    def _shadow_of(self, path: Path) -> Path:
        assert self._shadow is not None
        return self._shadow / path.relative_to(self._base)


class SyncedFile(apsw.VFSFile):
    """A file whose syncs the disk is told of."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "/nowhere")
        # SQLite's own unix layer syncs the folder with the first sync of a log that it has made.
        self._new_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL) and not self._path.exists()
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.wait_while_held()
        super().xSync(flags)
        if self._disk.shadowed:
            self._disk.file_synced(self._path, self.xRead(self.xFileSize(), 0))
            if self._new_log:
                self._new_log = False
                self._disk.folder_synced(self._path.parent)


class FaultyDisk(apsw.VFS):
    """SQLite's way to the disk, for all connections of the log."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> SyncedFile:  # noqa: N802 - SQLite's name
        return SyncedFile(self._disk, name, flags)


def _watch_fsync(disk: Disk) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        disk.wait_while_held()
        sync(descriptor)
        if disk.shadowed:
            path = _path_of(descriptor)
            if path.is_dir():
                disk.folder_synced(path)
            else:
                disk.file_synced(path, path.read_bytes())

    os.fsync = fsync  # type: ignore[assignment]


def _path_of(descriptor: int) -> Path:
    if sys.platform == "darwin":
        return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _forget_to_sync() -> None:
    connect = slices.connect

    def connect_unsynced(path: Path, *, create: bool = False) -> apsw.Connection:
        connection = connect(path, create=create)
        connection.pragma("synchronous", "OFF")
        return connection

    slices.connect = connect_unsynced


async def _seal_here(
    command: Sequence[str],
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    *,
    yields: bool = False,
) -> Ended:
    """What the child does, in this process, which is the one whose disk is watched."""
    await asyncio.to_thread(seal_folder, Path(command[-1]), SystemClock().now_ms())
    return Ended(0, b"", b"")


if __name__ == "__main__":
    _disk = Disk()
    _watch_fsync(_disk)
    # Kept, because SQLite uses it until the process ends.
    _vfs = FaultyDisk(_disk)
    if "FAULTS_UNSYNCED" in os.environ:
        _forget_to_sync()
    sealer.run_process = _seal_here  # type: ignore[attr-defined]
    with contextlib.suppress(KeyError):
        sqlite_log.SLICE_ROWS = int(os.environ["FAULTS_SLICE_ROWS"])
    main()
