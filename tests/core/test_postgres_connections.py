"""What a short question costs on PostgreSQL, and what becomes of connections that nobody uses."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text

from roost.core import database as database_module
from roost.core.database import Database
from roost.core.settings import Settings
from tests.postgres_cluster import PostgresCluster
from tests.stopped_clock import StoppedClock
from tests.waiting import until

QUESTION = text("SELECT pg_backend_pid()")


class Network:
    """Stands between a client and a server, counts what the client says, and can forget its connections."""

    def __init__(self, database_url: str) -> None:
        self._server = urlsplit(database_url)
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._refuses = True
        self._known: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.said = 0

    async def start(self) -> str:
        """The URL of the same database, by way of this network."""
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        return urlunsplit(self._server._replace(netloc=f"{self._server.username}@127.0.0.1:{port}"))

    def forget(self, *, refuses: bool) -> None:
        """As a router does with what was silent for long: neither side is told, and what comes is refused or lost."""
        self._forgotten |= self._known
        self._refuses = refuses

    async def stop(self) -> None:
        self._listener.close()
        for writer in self._known:
            writer.close()
        await asyncio.gather(*self._tasks)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._known.add(writer)
        to_server = await asyncio.open_connection(self._server.hostname, self._server.port)
        back = asyncio.create_task(self._bring_back(to_server[0], writer))
        self._tasks.add(back)
        while word := await reader.read(65536):
            if writer in self._forgotten:
                if not self._refuses:
                    continue
                writer.transport.abort()
                break
            self.said += 1
            to_server[1].write(word)
        to_server[1].close()

    async def _bring_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := await reader.read(65536):
            writer.write(word)
        writer.close()


@pytest.fixture
async def network(postgres: PostgresCluster) -> AsyncIterator[Network]:
    between = Network(postgres.create_database())
    yield between
    await between.stop()


@pytest.fixture
async def database(network: Network) -> AsyncIterator[Database]:
    opened = Database(Settings(database_url=await network.start(), _env_file=None))
    await _ask(opened)
    await opened.rows(QUESTION, {})
    yield opened
    await opened.dispose()


async def _ask(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(QUESTION) or 0)


async def test_who_asks_is_found_in_one_trip_and_a_session_needs_three(network: Network, database: Database) -> None:
    before = network.said
    await database.rows(QUESTION, {})
    assert network.said == before + 1
    await _ask(database)
    # The transaction begins, the question, the transaction ends.
    assert network.said == before + 4


async def test_what_was_ended_while_nobody_used_it_is_replaced(postgres: PostgresCluster, database: Database) -> None:
    async with database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        ended = await connection.scalar(QUESTION)
    operator = await asyncpg.connect(postgres.create_database())
    await operator.execute("SELECT pg_terminate_backend($1)", ended)
    await operator.close()
    assert driver is not None
    await until(driver.is_closed, what="The driver hears of the end")
    assert await _ask(database) not in {0, ended}


@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "swallowed"])
async def test_what_the_network_forgot_is_replaced(
    network: Network, database: Database, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setattr(database_module, "_ANSWER_PATIENCE_S", 0.2)
    clock = StoppedClock()
    monkeypatch.setattr(database_module, "monotonic", clock.monotonic)
    before = await _ask(database)
    network.forget(refuses=refuses)
    clock.advance(31)
    async with asyncio.timeout(10):
        assert await _ask(database) not in {0, before}
