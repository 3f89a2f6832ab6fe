"""The world of the matrix, one on each kind of database, set up when first asked for."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.access.matrix.twins import Twin, build_twins
from tests.access.matrix.world import World, build
from tests.conftest import DatabaseKind, new_hub
from tests.migrated_databases import MigratedDatabases
from tests.roost_server import RoostServer

_ENVIRONMENT = {
    # So that the scope counts, and a passkey has a name to be bound to.
    "ROOST_SYSTEM_PUBLIC": "false",
    "ROOST_PUBLIC_URL": "https://hub.example.org",
    "ROOST_ACCESS_TOKEN_EXPIRE_MINUTES": "120",
    # It would speak whenever it likes, to those who hear everything.
    "ROOST_HOST_DEVICE": "false",
}


class Worlds:
    """The worlds of this test process."""

    def __init__(self, folder: Path, migrated: MigratedDatabases, ending: ExitStack) -> None:
        self._folder, self._migrated, self._ending = folder, migrated, ending
        self._built: dict[str, World] = {}
        self._twins: dict[str, tuple[Twin, Twin]] = {}

    def get(self, kind: DatabaseKind) -> World:
        """The world on this kind of database."""
        if kind not in self._built:
            self._built[kind] = build(self.start(kind), self._client())
        return self._built[kind]

    def twins(self, kind: DatabaseKind) -> tuple[Twin, Twin]:
        """Two organizations full of data on this kind of database."""
        if kind not in self._twins:
            self._twins[kind] = build_twins(self.start(kind), self._client())
        return self._twins[kind]

    def start(self, kind: DatabaseKind, **environment: str) -> RoostServer:
        """A server that runs until all tests are done."""
        folder = self._folder / f"{kind}-{len(list(self._folder.iterdir()))}"
        server = new_hub(folder, kind, self._migrated, _ENVIRONMENT | environment).start()
        self._ending.callback(server.assert_no_complaints)
        self._ending.callback(server.stop)
        return server

    def _client(self) -> httpx2.Client:
        return self._ending.enter_context(httpx2.Client(timeout=30, trust_env=False, verify=False))


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabases) -> Iterator[Worlds]:
    """Whatever was built is stopped in the end; a complaint on the way out is a failure too."""
    with ExitStack() as ending:
        yield Worlds(tmp_path_factory.mktemp("worlds"), migrated, ending)


@pytest.fixture
def world(worlds: Worlds, database_kind: DatabaseKind) -> World:
    """Two organizations with everybody in them. Shared: leave the people and A's own things as they are."""
    return worlds.get(database_kind)
