"""`kill -9` of each process, of NATS and of PostgreSQL under load: what was acknowledged is there, exactly once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.conftest import UserClient, register_user
from tests.faults.conftest import register_devices
from tests.faults.load import HttpSender, Load, MqttSender, assert_exactly_once, read_back
from tests.many.conftest import Processes
from tests.nats_server import NatsServer
from tests.postgres_cluster import PostgresCluster
from tests.roost_server import RoostServer
from tests.waiting import until

_DEVICES = 5
_MESSAGES = 5
# A few hundred messages a second: reading them all back takes longer than storing them.
_PAUSE_S = 0.2
_AWAY_S = 120


def _load(apis: list[RoostServer], mqtts: list[RoostServer], user: UserClient) -> Load:
    """Devices in turn at each process, over HTTP, MQTT 3.1.1 and MQTT 5."""
    senders: list[HttpSender | MqttSender] = []
    for place, device in enumerate(register_devices(user, _DEVICES)):
        if place % 3 == 0:
            senders.append(HttpSender(apis[place % len(apis)], device, place, _PAUSE_S))
        else:
            senders.append(MqttSender(mqtts[place % len(mqtts)], device, 3 + place % 3, _PAUSE_S))
    return Load(list(senders))


def _all_shown(user: UserClient, load: Load) -> bool:
    return not any(sender.ledger.missing_from(read_back(user, sender.ledger.device)) for sender in load.senders)


@pytest.mark.parametrize(
    ("each", "rounds"), [(1, 1), pytest.param(2, 10, marks=pytest.mark.soak, id="two-of-each-ten-rounds")]
)
async def test_what_was_acknowledged_survives_the_end_of_anything(
    own_processes: Processes, own_nats: NatsServer, own_postgres: PostgresCluster, each: int, rounds: int
) -> None:
    (first,) = own_processes.start("api")
    others = own_processes.start(*["api"] * (each - 1), *["mqtt"] * each, "worker", "worker")
    apis, mqtts, workers = [first, *others[: each - 1]], others[each - 1 : 2 * each - 1], others[-2:]

    async def again(*servers: RoostServer) -> None:
        for server in servers:
            server.kill()
        for server in servers:
            server.launch()
        for server in servers:
            await asyncio.to_thread(server.wait_for_answer)

    async def nats_again() -> None:
        own_nats.kill()
        await asyncio.to_thread(own_nats.start)

    with register_user(first) as user:
        load = _load(apis, mqtts, user)

        async def postgres_again() -> None:
            own_postgres.stop(immediately=True)
            # Devices that are known go on: NATS keeps what they send.
            await load.progress(_MESSAGES)
            await asyncio.to_thread(own_postgres.start)

        faults: list[Callable[[], Awaitable[None]]] = [postgres_again, nats_again]
        faults += [partial(again, *group) for group in zip(workers, apis, mqtts, strict=False)]
        async with load.running():
            for _ in range(rounds):
                for fault in faults:
                    await load.progress(_MESSAGES, 60)
                    await fault()
            await load.progress(_MESSAGES, 60)
            await load.drain(60)
        await until(lambda: asyncio.to_thread(_all_shown, user, load), 60, what="All that was acknowledged")
        await asyncio.to_thread(assert_exactly_once, user, load)
        load.assert_nothing_refused()


@pytest.mark.soak
async def test_two_minutes_without_the_database(own_processes: Processes, own_postgres: PostgresCluster) -> None:
    """Devices that are known go on all the time; nothing is lost, and the store catches up alone."""
    api, mqtt, _, _ = own_processes.start("api", "mqtt", "worker", "worker")
    with register_user(api) as user:
        load = _load([api], [mqtt], user)
        async with load.running():
            await load.progress(_MESSAGES, 60)
            own_postgres.stop(immediately=True)
            gone_at = time.monotonic()
            while time.monotonic() - gone_at < _AWAY_S:
                await load.progress(_MESSAGES)
            await asyncio.to_thread(own_postgres.start)
            await load.progress(_MESSAGES, 60)
            await load.drain(60)
        await until(lambda: asyncio.to_thread(_all_shown, user, load), 60, what="All that was acknowledged")
        await asyncio.to_thread(assert_exactly_once, user, load)
        load.assert_nothing_refused()
        assert all(sender.statuses[202] for sender in load.senders if isinstance(sender, HttpSender))
