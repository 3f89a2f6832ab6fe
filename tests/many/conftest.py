"""Real NATS servers: one for the tests of a process, and one of its own for whoever stops it."""

from collections.abc import Iterator

import pytest

from tests.nats_server import NatsServer


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """A NATS for one test alone, which may kill and start it."""
    server = NatsServer()
    yield server.start()
    server.remove()
