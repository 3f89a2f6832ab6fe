"""`kill -9` at random moments under load: what was acknowledged is there, exactly once."""

import asyncio
import random

import pytest

from tests.conftest import DatabaseKind, FreshServer, register_user
from tests.faults.conftest import register_devices
from tests.faults.load import Load, assert_exactly_once
from tests.waiting import until

_DEVICES = 6


@pytest.mark.parametrize(
    ("rounds", "seed"), [(2, 20_260), pytest.param(10, 31_337, marks=pytest.mark.soak, id="ten-rounds")]
)
async def test_what_was_acknowledged_survives_kill(
    fresh_server: FreshServer, database_kind: DatabaseKind, rounds: int, seed: int
) -> None:
    """Clients send again what nobody acknowledged, some with a message id, some with time and value only."""
    server = fresh_server(database_kind)
    chance = random.Random(seed)
    with register_user(server) as user:
        load = Load.mixed(server, register_devices(user, _DEVICES), seed)
        async with load.running():
            for _ in range(rounds):
                await load.progress(20)
                goal = load.acknowledged + chance.randrange(400)
                await until(lambda goal=goal: load.acknowledged >= goal, 30)  # type: ignore[misc]
                server.kill()
                await asyncio.to_thread(server.start)
            await load.progress(5)
            await load.drain()
        assert_exactly_once(user, load)
        load.assert_nothing_refused()
        assert sum(sender.ledger.resent for sender in load.senders) > 0
