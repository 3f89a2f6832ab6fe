"""The one table that the version before kept becomes the first slice."""

import asyncpg  # type: ignore[import-untyped]
import pytest

from roost.core.clock import SystemClock
from roost.telemetry.log import ANY, LogUnavailable
from roost.telemetry.messages import Message
from roost.telemetry.postgres import sealing
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres_log import PostgresLog
from tests.postgres_cluster import PostgresCluster

# As the version before made it.
OLD_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS telemetry;
CREATE TABLE IF NOT EXISTS telemetry.head (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device_id bigint NOT NULL, observed_at bigint NOT NULL,
    received_at bigint NOT NULL, event_type text, payload bytea NOT NULL, units bytea, message_id text);
CREATE INDEX IF NOT EXISTS head_device ON telemetry.head (device_id, observed_at);
CREATE INDEX IF NOT EXISTS head_message ON telemetry.head (device_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS head_event ON telemetry.head (device_id, id) WHERE event_type IS NOT NULL;
"""
OLD_INSERT = """
INSERT INTO telemetry.head (device_id, observed_at, received_at, event_type, payload, units, message_id)
SELECT d, o, r, e, p, u, m FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[],
    $7::text[]) WITH ORDINALITY AS t(d, o, r, e, p, u, m, n) ORDER BY n RETURNING id
"""


@pytest.fixture
async def old(postgres: PostgresCluster) -> str:
    """A database with what the version before stored: a reading a second of two devices, every tenth an event."""
    url = postgres.create_database()
    connection = await asyncpg.connect(url)
    await connection.execute(OLD_SCHEMA)
    now = SystemClock().now_ms()
    rows = [
        (
            1 + n % 2, now - (100 - n) * 1000, now, "boot" if n % 10 == 0 else None, b'{"v":%d}' % n,
            b'{"v":"K"}' if n % 3 == 0 else None, f"m-{n}" if n % 5 == 0 else None,
        )
        for n in range(100)
    ]  # fmt: skip
    await connection.fetch(OLD_INSERT, *map(list, zip(*rows, strict=True)))
    await connection.close()
    return url


async def test_everything_is_there_before_and_after_sealing_and_ids_go_on(old: str) -> None:
    clock = SystemClock()
    now = clock.now_ms()
    log = PostgresLog(old, clock)
    await log.open()
    rows = await log.recent([1, 2], 1000, ANY)
    assert [row.id for row in rows] == list(range(100, 0, -1))
    assert [row.readings()["v"] for row in rows] == list(range(99, -1, -1))
    assert rows[99].units_by_key() == {"v": "K"}
    known, new = (
        Message(now, now, None, {"v": 1}, b'{"v":1}', None, "m-5"),
        Message(now, now, None, {"v": 2}, b'{"v":2}', None, "n-1"),
    )
    await log.append([2, 2], [known, new])
    assert (known.id, new.id) == (0, 101)
    connections = Connections(old, clock)
    done = await sealing.seal(connections, now)
    await connections.close()
    assert (done.slices, done.messages) == (1, 100)
    sealed = await log.recent([1, 2], 1000, ANY)
    assert [(row.id, row.readings(), row.units_by_key()) for row in sealed[1:]] == [
        (row.id, row.readings(), row.units_by_key()) for row in rows
    ]
    again = Message(now, now, None, {"v": 1}, b'{"v":1}', None, "m-5")
    await log.append([2], [again])
    assert again.id == 0
    await log.close()


async def test_a_hub_of_the_version_before_is_refused_instead_of_writing_where_nobody_looks(old: str) -> None:
    log = PostgresLog(old, SystemClock())
    await log.open()
    connection = await asyncpg.connect(old)
    with pytest.raises(asyncpg.WrongObjectTypeError):
        await connection.execute(OLD_SCHEMA)
    await connection.close()
    await log.close()


async def test_tables_of_a_later_version_are_left_alone(postgres: PostgresCluster) -> None:
    url = postgres.create_database()
    log = PostgresLog(url, SystemClock())
    await log.open()
    await log.close()
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE telemetry.format SET version = version + 1")
    await connection.close()
    later = PostgresLog(url, SystemClock())
    with pytest.raises(LogUnavailable, match="newer version"):
        await later.open()
    await later.close()
