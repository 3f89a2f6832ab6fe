"""Slices of PostgreSQL become blocks while others write, read, seal and delete."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import asyncpg  # type: ignore[import-untyped]
import pytest

from roost.telemetry.blocks.sealing import Sealed
from roost.telemetry.frames import Frame
from roost.telemetry.log import ANY, LogUnavailable, Row
from roost.telemetry.messages import Message
from roost.telemetry.postgres import appending, sealing, slices
from roost.telemetry.postgres.blocks import month_of
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres.schema import list_slices
from roost.telemetry.postgres.slices import sealing_lock
from roost.telemetry.postgres_log import PostgresLog
from tests.postgres_cluster import PostgresCluster
from tests.telemetry.conftest import NOW, HandClock
from tests.waiting import until

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "SLICE_ROWS", 10)


@pytest.fixture
def url(postgres: PostgresCluster) -> str:
    return postgres.create_database()


@pytest.fixture
async def log(url: str, clock: HandClock) -> AsyncIterator[PostgresLog]:
    opened = PostgresLog(url, clock)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def database(url: str, log: PostgresLog) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection to the same database."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


def message(value: int, at: int, *, message_id: str | None = None, event: str | None = None) -> Message:
    return Message(at, NOW, event, {"v": value}, b'{"v":%d}' % value, None, message_id)


async def fill(log: PostgresLog, count: int, *, first: int = 0, start: int = NOW - HOUR, step: int = SECOND) -> None:
    """One message of devices 1 and 2 in turn per append, so that slices of ten are rolled."""
    for number in range(first, first + count):
        event = "boot" if number % 7 == 0 else None
        await log.append([1 + number % 2], [message(number, start + number * step, event=event)])


async def seal(url: str, clock: HandClock) -> Sealed:
    connections = Connections(url, clock)
    try:
        return await sealing.seal(connections, clock.now_ms())
    finally:
        await connections.close()


def contents(rows: list[Row]) -> list[tuple[int, int, str | None, bytes]]:
    return [(row.id, row.observed_at, row.event_type, row.payload) for row in rows]


async def tables(database: asyncpg.Connection) -> set[str]:
    rows = await database.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'telemetry'::regnamespace")
    return {row[0] for row in rows}


async def test_full_slices_become_blocks_and_the_tables_of_their_rows_go(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection
) -> None:
    await fill(log, 35)
    everything = await log.recent([1, 2], 100, ANY)
    assert {"head_1", "head_2", "head_3"} <= await tables(database)
    assert (await seal(url, clock)).messages > 20
    assert contents(await log.recent([1, 2], 100, ANY)) == contents(everything)
    assert not {"head_1", "head_2", "head_3"} & await tables(database)
    assert await database.fetchval("SELECT count(*) FROM telemetry.sealed") == 0
    assert (await log.size())[0] == 35
    assert (await seal(url, clock)) == Sealed()


async def test_a_slice_is_closed_when_it_is_a_day_old(log: PostgresLog, url: str, clock: HandClock) -> None:
    await fill(log, 2)
    clock.ms += DAY
    await fill(log, 1, first=2)
    assert (await seal(url, clock)).messages == 3


async def test_a_message_id_is_known_for_a_day_after_its_slice_was_dropped(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection
) -> None:
    await log.append([1], [message(1, NOW, message_id="a")])
    await fill(log, 12)
    await seal(url, clock)
    assert "head_1" not in await tables(database)
    again = message(2, NOW, message_id="a")
    await log.append([1], [again])
    assert again.id == 0
    clock.ms += DAY + HOUR
    await seal(url, clock)
    assert not {name for name in await tables(database) if name.startswith("known_")}
    later = message(3, clock.ms, message_id="a")
    await log.append([1], [later])
    assert later.id > 0


async def test_a_reader_in_its_snapshot_sees_each_row_once_whatever_is_sealed_meanwhile(
    log: PostgresLog, url: str, clock: HandClock
) -> None:
    await fill(log, 60)
    everything = contents(await log.between(1, 0, 2**62, 1000))
    arrived = contents(await log.recent([1, 2], 1000, ANY))

    async def read_on() -> int:
        reads = 0
        while not sealed.done():
            assert contents(await log.between(1, 0, 2**62, 1000)) == everything
            assert contents(await log.recent([1, 2], 1000, ANY)) == arrived
            rows = sum([len(piece.times) async for piece in log.pieces(1, 0, 2**62) if isinstance(piece, Frame)])
            assert rows == len(everything)
            reads += 1
        return reads

    sealed = asyncio.create_task(seal(url, clock))
    assert await read_on() > 0
    assert contents(await log.between(1, 0, 2**62, 1000)) == everything


async def test_of_a_slice_that_is_half_sealed_each_message_is_found_and_counted_once(
    log: PostgresLog, clock: HandClock
) -> None:
    await fill(log, 15)
    arrived = contents(await log.recent([1, 2], 100, ANY))
    async with log._connections.changing() as connection:
        first = (await list_slices(connection))[0]
    await sealing._seal_unit(log._connections, first, [1])
    assert contents(await log.recent([1, 2], 100, ANY)) == arrived
    assert sorted(contents(await log.between(1, 0, 2**62, 100))) == sorted(row for row in arrived if row[0] % 2)
    assert [(await log.find(row[0]) is not None) for row in arrived if row[2]] == [True, True, True]
    assert (await log.size())[0] == 15
    assert await log.prune(NOW) == 15


async def test_a_table_is_dropped_once_its_last_reader_has_gone(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(slices, "LOCK_PAUSE_S", 0.01)
    await fill(log, 12)
    tries = []

    async def counted(connection: asyncpg.Connection) -> None:
        tries.append(connection)
        await sealing_lock(connection)

    monkeypatch.setattr(slices, "sealing_lock", counted)
    async with database.transaction():
        await database.fetch("SELECT FROM telemetry.head_1")
        sealed = asyncio.create_task(seal(url, clock))
        await until(lambda: len(tries) > 1 or sealed.done(), what="A second try to drop the table")
        await fill(log, 3, first=12)
        assert not sealed.done()
    assert (await sealed).slices >= 1
    assert "head_1" not in await tables(database)


async def test_two_who_seal_share_the_work(log: PostgresLog, url: str, clock: HandClock) -> None:
    await fill(log, 60)
    before = contents(await log.recent([1, 2], 100, ANY))
    first, second = await asyncio.gather(seal(url, clock), seal(url, clock))
    newest = await log._read(lambda connection: connection.fetchval("SELECT max(number) FROM telemetry.slice"))
    left = await log._read(lambda connection: connection.fetchval(f"SELECT count(*) FROM telemetry.head_{newest}"))
    assert first.messages + second.messages == 60 - left
    assert contents(await log.recent([1, 2], 100, ANY)) == before


async def test_late_messages_join_the_blocks_of_their_time(log: PostgresLog, url: str, clock: HandClock) -> None:
    await fill(log, 40, step=10 * SECOND)
    await seal(url, clock)
    await fill(log, 40, first=40, start=NOW - HOUR - 40 * 10 * SECOND + 5 * SECOND, step=10 * SECOND)
    await seal(url, clock)
    spans = await log._read(
        lambda connection: connection.fetch(
            "SELECT start_at, end_at FROM telemetry.block WHERE device_id = 1 ORDER BY 1"
        )
    )
    assert all(before["end_at"] < after["start_at"] for before, after in pairwise(spans))
    assert [row.observed_at for row in await log.between(1, 0, 2**62, 100)] == sorted(
        [NOW - HOUR + n * 10 * SECOND for n in range(0, 40, 2)]
        + [NOW - HOUR + n * 10 * SECOND + 5 * SECOND for n in range(0, 40, 2)]
    )


async def test_months_are_dropped_as_tables_and_the_edge_is_cut(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection
) -> None:
    start = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * SECOND
    await fill(log, 101, start=start, step=DAY)
    await seal(url, clock)
    assert {"block_2026_06", "block_2026_07", "block_2026_08"} <= await tables(database)
    spans = await database.fetch(
        "SELECT start_at, end_at FROM telemetry.block UNION SELECT start_at, end_at FROM telemetry.event_block"
    )
    assert all(month_of(span["start_at"]) == month_of(span["end_at"]) for span in spans)
    assert await log.prune(start + 40 * DAY) == 40
    assert "block_2026_06" not in await tables(database)
    assert "event_block_2026_06" not in await tables(database)
    rows = await log.recent([1, 2], 1000, ANY)
    assert sorted(row.readings()["v"] for row in rows) == list(range(40, 101))
    assert (await log.size())[0] == 61


async def test_a_deleted_device_is_gone_from_slices_and_blocks(log: PostgresLog, url: str, clock: HandClock) -> None:
    await fill(log, 25)
    await seal(url, clock)
    await fill(log, 8, first=25)
    await log.delete_device(1)
    assert await log.recent([1], 100, ANY) == []
    assert [piece async for piece in log.pieces(1, 0, 2**62)] == []
    assert [row.readings()["v"] for row in await log.between(2, 0, 2**62, 100)] == list(range(1, 33, 2))
    await seal(url, clock)
    assert await log.recent([1], 100, ANY) == []


async def test_a_hub_that_does_not_know_of_a_new_slice_writes_nothing_into_the_old_one(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection
) -> None:
    other = PostgresLog(url, clock)
    await other.open()
    await log.append([1], [message(0, NOW)])
    await other.append([1], [message(1, NOW + 1, message_id="x")])
    await appending.roll(log._connections, 1, clock.ms)
    closed = message(2, NOW + 2)
    await other.append([1], [closed])
    assert await database.fetchval("SELECT max(id) FROM telemetry.head_1") < closed.id
    await fill(log, 15, first=3)
    await seal(url, clock)
    new, again = message(20, NOW + 20), message(21, NOW + 21, message_id="x")
    await other.append([1, 1], [new, again])
    assert new.id > 16
    assert again.id == 0
    assert (await log.recent([1], 1, ANY))[0].id == new.id
    await other.close()


async def test_a_flipped_byte_is_named_and_keeps_only_its_device_from_being_sealed(
    log: PostgresLog, url: str, clock: HandClock, database: asyncpg.Connection
) -> None:
    await fill(log, 22)
    await seal(url, clock)
    await database.execute(
        "UPDATE telemetry.block SET data = set_byte(data, 30, get_byte(data, 30) # 1) WHERE device_id = 1"
    )
    with pytest.raises(LogUnavailable, match=r"device 1 from .* checksum"):
        await log.between(1, 0, 2**62, 1000)
    # Late, so that the damaged block would have to be rewritten.
    await fill(log, 22, first=22, start=NOW - HOUR - 22 * SECOND + 500)
    done = await seal(url, clock)
    assert done.failed > 0
    assert [row.readings()["v"] for row in await log.between(2, 0, 2**62, 1000)] == [
        n + late for n in range(1, 22, 2) for late in (0, 22)
    ]


async def test_a_slice_of_one_device_that_is_too_large_for_memory_is_sealed_in_parts(
    log: PostgresLog, url: str, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "SLICE_ROWS", 50)
    monkeypatch.setattr(sealing, "LARGE_ROWS", 8)
    await log.append([1] * 60, [message(n, NOW + n // 2, event="x" if n % 5 == 0 else None) for n in range(60)])
    before = contents(await log.between(1, 0, 2**62, 1000))
    assert (await seal(url, clock)).messages == 60
    assert contents(await log.between(1, 0, 2**62, 1000)) == before
