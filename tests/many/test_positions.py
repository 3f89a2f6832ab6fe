"""How far each part is stored: whoever says that it is alive does not stand in the way of whoever stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import asyncpg  # type: ignore[import-untyped]
import pytest

from roost.telemetry.stream_positions import Position, Positions
from tests.postgres_cluster import PostgresCluster
from tests.waiting import until

_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"


@pytest.fixture
async def url(postgres: PostgresCluster) -> str:
    return postgres.create_database()


@pytest.fixture
async def positions(url: str) -> AsyncIterator[Positions]:
    writer = Positions(url, "writer")
    yield writer
    await writer.close()


async def test_storing_and_staying_alive_wait_for_each_other_in_one_order(url: str, positions: Positions) -> None:
    ours = await positions.share()
    storing, looking = await asyncpg.connect(url), await asyncpg.connect(url)
    with ExitStack() as ending:
        # Whatever state they are in.
        ending.callback(storing.terminate)
        ending.callback(looking.terminate)
        # What was stored last is found last by whoever does not ask for an order.
        first = Position(1, 1, "a")
        await positions.advance(storing, {0: (ours[0], first)})
        async with storing.transaction():
            await positions.advance(storing, {0: (first, Position(2, 2, "b"))})
            beside = asyncio.create_task(positions.share())

            async def waits() -> bool:
                return bool(await looking.fetchval(_WAITING))

            await until(waits, what="Somebody who waits for the row of part 0")
            await positions.advance(storing, {1: (ours[1], Position(2, 2, "b"))})
        await beside
        stored = await looking.fetch("SELECT sequence FROM telemetry.stream_position WHERE partition <= 1")
        assert [row[0] for row in stored] == [2, 2]
