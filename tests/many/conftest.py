"""A hub of several processes on one NATS and one PostgreSQL."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.migrated_databases import MigratedDatabases
from tests.nats_server import NatsServer
from tests.postgres_cluster import PostgresCluster
from tests.roost_server import RoostServer


class Processes:
    """The processes of one hub: each a real one, with its own data folder, as on machines of their own."""

    def __init__(self, folder: Path, nats: NatsServer, database_url: str) -> None:
        self.nats = nats
        self.database_url = database_url
        self.every: list[RoostServer] = []
        self._folder = folder
        self._environment = {
            "NATS_URL": nats.url,
            "SECRET_KEY": secrets.token_hex(32),
            "ROOST_AUDIT_KEY": secrets.token_hex(32),
        }

    def launch(self, command: str, *, counted: bool = False, **environment: str) -> RoostServer:
        """Start `roost <command>` without waiting for it."""
        folder = self._folder / f"{command}-{len(self.every)}"
        settings = self._environment | environment
        server = RoostServer(folder, self.database_url, settings, counted=counted, command=command)
        self.every.append(server)
        server.launch()
        return server

    def start(self, *commands: str, counted: bool = False, **environment: str) -> list[RoostServer]:
        """Start these side by side and return when all of them answer."""
        launched = [self.launch(command, counted=counted, **environment) for command in commands]
        for server in launched:
            server.wait_for_answer()
        return launched

    def stop(self) -> None:
        """Stop what still runs; a complaint on the way out is a failure too."""
        with ExitStack() as endings:
            for server in self.every:
                endings.callback(server.assert_no_complaints)
                endings.callback(server.stop)


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """A NATS for one test alone, which may kill and start it."""
    server = NatsServer()
    yield server.start()
    server.remove()


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsServer]:
    """A NATS for the tests of a file."""
    server = NatsServer()
    yield server.start()
    server.remove()


@pytest.fixture(scope="module")
def processes(
    tmp_path_factory: pytest.TempPathFactory, nats: NatsServer, migrated: MigratedDatabases
) -> Iterator[Processes]:
    """The processes that the tests of a file share."""
    made = Processes(tmp_path_factory.mktemp("processes"), nats, migrated.postgresql())
    yield made
    made.stop()


@pytest.fixture
def own_processes(tmp_path: Path, own_nats: NatsServer, own_postgres: PostgresCluster) -> Iterator[Processes]:
    """Processes for one test alone, which may kill them, their NATS and their PostgreSQL."""
    made = Processes(tmp_path, own_nats, own_postgres.create_database())
    yield made
    made.stop()
