"""Somebody else's server as a child process on the server's core."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.peers.peer import PeerMissing
from benchmarks.processes import on_core
from benchmarks.server import SERVER_CORE
from tests.waiting import wait_until

UNPACKED = Path(__file__).parents[2] / "build" / "peers"
"""Where get-peers puts what the system does not have."""


def program(name: str, package: str) -> Path:
    """Where a program is: what the system has, or what get-peers has unpacked.

    Raises:
        PeerMissing: neither has it.
    """
    places = (UNPACKED / "debian" / "usr" / "bin", UNPACKED / "debian" / "usr" / "sbin", "/usr/sbin")
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, places)))
    if found is None:
        raise PeerMissing(f"{name} is not here: Debian's package `{package}` could not be had.")
    return Path(found)


def version_of(package: str) -> str:
    """The version of a Debian package, unpacked or installed."""
    unpacked = UNPACKED / "versions" / package
    if unpacked.exists():
        return unpacked.read_text().strip()
    asked = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout or "of unknown version"


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, *, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The process id of a server that listens on `port`; it is ended afterwards."""
    with child(command, folder, environment=environment) as process:

        def listens() -> bool:
            assert process.poll() is None, _last_words(folder)
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        wait_until(listens, 90, what=f"{command[0]} listening")
        yield process.pid


@contextmanager
def child(
    command: Sequence[str | Path], folder: Path, *, environment: Mapping[str, str] | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """A child that is ended afterwards; what it says is in `folder`."""
    with (folder / "log").open("ab") as log, on_core(SERVER_CORE):
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-3000:]


def size_of(folder: Path) -> int:
    """Bytes that the files below a folder take up on the disk, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
