"""Behind pgbouncer in transaction mode, which gives every transaction the server connection that is free just then."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from roost.core.clock import SystemClock
from roost.telemetry.log import ANY
from roost.telemetry.messages import Message
from roost.telemetry.postgres import appending
from roost.telemetry.postgres.sealer import sealer_of
from roost.telemetry.postgres_log import PostgresLog
from tests.conftest import FreshServer, register_device, register_user
from tests.pooler import SERVER_CONNECTIONS, Pooler
from tests.postgres_cluster import PostgresCluster
from tests.waiting import until

WRITERS = 3
BATCHES = 10


@pytest.fixture(scope="module")
def pooler(postgres: PostgresCluster) -> Iterator[Pooler]:
    running = Pooler(postgres.create_database()).start()
    yield running
    running.stop()


async def test_several_hubs_write_read_and_seal_over_a_few_connections(
    pooler: Pooler, postgres: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = postgres.create_database()
    url = pooler.url_of(direct)
    monkeypatch.setattr(appending, "SLICE_ROWS", 200)
    clock = SystemClock()
    now = clock.now_ms()
    logs = [PostgresLog(url, clock) for _ in range(WRITERS)]
    await asyncio.gather(*(log.open() for log in logs))
    sealers = [sealer_of(log, url) for log in logs]
    for sealer in sealers:
        sealer.start()

    async def write(writer: int) -> None:
        for batch in range(BATCHES):
            # Some by COPY, some in one statement, some known already.
            count = appending.COPY_ROWS + 1 if batch % 2 else 3
            ids = [f"{batch}-{number}" if number % 3 == 0 else None for number in range(count)]
            messages = [
                Message(now - batch * 1000 - number, now, None, {"v": writer}, b'{"v":%d}' % writer, None, message_id)
                for number, message_id in enumerate(ids)
            ]
            await logs[writer].append([writer + 1] * count, messages)
            known = Message(now, now, None, {"v": 0}, b'{"v":0}', None, f"{batch}-0")
            await logs[writer].append([writer + 1], [known])
            assert known.id == 0

    async def read() -> None:
        for log in (*logs, *logs):
            await log.recent([1, 2, 3], 50, ANY)
            await log.between(1, 0, 2**62, 100)
            async for piece in log.pieces(2, 0, 2**62):
                assert piece.device_id == 2

    await asyncio.gather(*map(write, range(WRITERS)), *(read() for _ in range(4)))
    # Written by any of them, sealed by any of them.
    await logs[0].let_go()
    await until(lambda: _all_sealed(logs[0]), 60, what="The sealing of what is closed")
    written = BATCHES // 2 * (appending.COPY_ROWS + 1 + 3)
    for device in range(1, WRITERS + 1):
        assert len(await logs[0].between(device, 0, 2**62, 10_000)) == written
    for sealer in sealers:
        await sealer.stop()
    used = postgres.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{direct.rpartition('/')[2]}'")
    assert int(used) <= SERVER_CONNECTIONS
    for log in logs:
        await log.close()


async def _all_sealed(log: PostgresLog) -> bool:
    await log.let_go()
    return not log.has_closed_slices


def test_a_whole_hub(pooler: Pooler, postgres: PostgresCluster, fresh_server: FreshServer) -> None:
    server = fresh_server(pooler.url_of(postgres.create_database()), ROOST_DATABASE_POOLER="true")
    with register_user(server) as user:
        devices = [register_device(user) for _ in range(4)]
        for number in range(5):
            for device in devices:
                answer = httpx2.post(
                    f"{server.url}/api/v1/telemetry", headers=device.headers, json={"v": number}, trust_env=False
                )
                assert answer.status_code == 201, answer.text
        for device in devices:
            found = user.get(f"/devices/{device.id}/readings", params={"sensor_type": "v"}).json()
            assert [reading["value"] for reading in found] == [4, 3, 2, 1, 0]
