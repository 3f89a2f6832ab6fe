"""Servers on a faulty disk, and several devices at once."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.faults.faulty_server import FaultyServer
from tests.file_room import ON_DISK
from tests.roost_server import RoostServer

MakeFaultyServer = Callable[..., FaultyServer]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk, wherever other tests have their files."""
    with tempfile.TemporaryDirectory(prefix="roost-faults-", dir=ON_DISK, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def stopped_at_end() -> Iterator[list[RoostServer]]:
    """Servers put in here are stopped at the end, and must not have complained."""
    servers: list[RoostServer] = []
    yield servers
    for server in servers:
        server.stop()
    for server in servers:
        server.assert_no_complaints()


@pytest.fixture
def faulty_server(tmp_path: Path, stopped_at_end: list[RoostServer]) -> MakeFaultyServer:
    """`faulty_server(unsynced=True, slice_rows=50)` makes a server on SQLite and a faulty disk, and starts it."""

    def make(*, unsynced: bool = False, slice_rows: int | None = None) -> FaultyServer:
        server = FaultyServer(tmp_path / f"faulty-{len(stopped_at_end)}", unsynced=unsynced, slice_rows=slice_rows)
        stopped_at_end.append(server)
        server.start()
        return server

    return make


def register_devices(user: UserClient, count: int) -> list[RegisteredDevice]:
    """Several devices of one user."""
    return [register_device(user) for _ in range(count)]
