"""The tables of sealed blocks: what can be asked of them without decoding. Nothing here loads numpy.

`telemetry.block` has the readings of every message, `telemetry.event_block` the documents of events. Both are
partitioned by the UTC month in which a block begins, and every block ends in the month in which it begins: so what is
too old goes as a whole. The blocks of a device never overlap in time; those of its events may.
"""

# ruff: noqa: S608 - every word of the statements is our own

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

CHUNK = 8
MOST = 64
FOREVER = 2**63 - 1

Table = Literal["block", "event_block"]
TABLES: tuple[Table, Table] = ("block", "event_block")

_KEY = {"block": "start_at", "event_block": "last_id"}
_META = "device_id, start_at, end_at, first_id, last_id, rows"


class Meta(NamedTuple):
    """A block as it stands in the table: times in ms, both included; ids of its first and last message to arrive."""

    device_id: int
    start: int
    end: int
    first_id: int
    last_id: int
    rows: int

    @property
    def name(self) -> str:
        return f"The block of device {self.device_id} from {self.start} to {self.end}"


class Month(NamedTuple):
    """`number`: months since 1970; the messages in its blocks have, or had, ids from `first_id` to `last_id`."""

    number: int
    first_id: int
    last_id: int


class BlockRow(NamedTuple):
    device_id: int
    start_at: int
    end_at: int
    first_id: int
    last_id: int
    rows: int
    messages: int
    points: int
    summary: bytes
    data: bytes


class EventRow(NamedTuple):
    device_id: int
    start_at: int
    end_at: int
    first_id: int
    last_id: int
    rows: int
    data: bytes


def month_of(at: int) -> int:
    """Months since 1970 of a moment (ms)."""
    moment = datetime.fromtimestamp(min(max(at, 0), _LAST_MONTH) // 1000, UTC)
    return (moment.year - 1970) * 12 + moment.month - 1


def month_start(month: int) -> int:
    """Its first moment (ms)."""
    return int(datetime(1970 + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000


_LAST_MONTH = int(datetime(9999, 12, 1, tzinfo=UTC).timestamp()) * 1000


def _floor(at: int) -> int:
    """Where the month of a moment begins: blocks that reach into it do not begin earlier."""
    return month_start(month_of(at))


async def blocks_between(connection: Any, device_id: int, since: int, until: int, limit: int) -> list[Meta]:
    """The blocks of a device that reach into the time from `since` to before `until` (ms), ascending."""
    rows = await connection.fetch(
        f"SELECT {_META} FROM telemetry.block WHERE device_id = $1 AND start_at >= $2 AND start_at < $3"
        " AND end_at >= $4 ORDER BY start_at LIMIT $5",
        device_id, _floor(since), until, since, limit,
    )  # fmt: skip
    return [Meta(*row) for row in rows]


async def summaries_between(
    connection: Any, asked: Sequence[tuple[int, int]], until: int, limit: int
) -> list[list[tuple[Meta, bytes]]]:
    """Of each device the blocks that reach into the time from a moment (ms), asked for beside it, to before `until`.

    Ascending, the first `limit` of a device, with their summaries.
    """
    rows = await connection.fetch(
        f"SELECT d.n, b.* FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS d(id, since, n), LATERAL ("
        f"SELECT {_META}, summary FROM telemetry.block WHERE device_id = d.id AND start_at >= $3 AND start_at < $4"
        " AND end_at >= d.since ORDER BY start_at LIMIT $5) AS b ORDER BY d.n, b.start_at",
        [device_id for device_id, _ in asked], [since for _, since in asked], _floor(min(since for _, since in asked)),
        until, limit,
    )  # fmt: skip
    found: list[list[tuple[Meta, bytes]]] = [[] for _ in asked]
    for number, *meta, summary in rows:
        found[number - 1].append((Meta(*meta), summary))
    return found


async def blocks_before(connection: Any, device_id: int, since: int, until: int) -> AsyncIterator[Meta]:
    """The same, the newest first, read as they are asked for."""
    while True:
        rows = await connection.fetch(
            f"SELECT {_META} FROM telemetry.block WHERE device_id = $1 AND start_at >= $2 AND start_at < $3"
            f" AND end_at >= $4 ORDER BY start_at DESC LIMIT {CHUNK}",
            device_id, _floor(since), until, since,
        )  # fmt: skip
        for row in rows:
            yield Meta(*row)
        if len(rows) < CHUNK:
            return
        until = rows[-1]["start_at"]


async def events_before(connection: Any, device_id: int, since: int, until: int) -> list[Meta]:
    """The blocks of a device's events that reach into this time (ms), the latest end first; they may overlap."""
    rows = await connection.fetch(
        f"SELECT {_META} FROM telemetry.event_block WHERE device_id = $1 AND start_at >= $2 AND start_at < $3"
        " AND end_at >= $4 ORDER BY end_at DESC",
        device_id, _floor(since), until, since,
    )  # fmt: skip
    return [Meta(*row) for row in rows]


async def by_arrival(
    connection: Any, table: Table, device_ids: Sequence[int], ids: tuple[int, int], span: tuple[int, int]
) -> AsyncIterator[list[Meta]]:
    """Blocks with messages between two ids (excluded) and in this time (ms), those that arrived last first.

    They come a few at a time, more and more: across many devices each may have one of the last messages.
    """
    above, before = ids
    below = FOREVER
    limit = CHUNK
    while True:
        rows = await connection.fetch(
            f"SELECT b.* FROM unnest($1::bigint[]) AS d(id), LATERAL (SELECT {_META} FROM telemetry.{table}"
            " WHERE device_id = d.id AND last_id > $2 AND last_id < $3 AND first_id < $4 AND start_at >= $5"
            f" AND start_at < $6 AND end_at >= $7 ORDER BY last_id DESC LIMIT {limit}) AS b"
            f" ORDER BY last_id DESC LIMIT {limit}",
            list(device_ids), above, below, before, _floor(span[0]), span[1], span[0],
        )  # fmt: skip
        yield [Meta(*row) for row in rows]
        if len(rows) < limit:
            return
        below = rows[-1]["last_id"]
        limit = min(2 * limit, MOST)


async def events_with(connection: Any, message_id: int) -> list[Meta]:
    """The blocks of events that may hold this one."""
    found = []
    for month in await list_months(connection):
        if month.first_id <= message_id <= month.last_id:
            rows = await connection.fetch(
                f"SELECT {_META} FROM telemetry.event_block WHERE int8range(first_id, last_id, '[]') @> $1::bigint"
                " AND start_at >= $2 AND start_at < $3",
                message_id, month_start(month.number), month_start(month.number + 1),
            )  # fmt: skip
            found += [Meta(*row) for row in rows]
    return found


async def in_month(connection: Any, table: Table, device_ids: Sequence[int], month: int) -> dict[int, list[Meta]]:
    """The blocks of these devices in a month, by device, ascending by time or, those of events, by arrival."""
    rows = await connection.fetch(
        f"SELECT {_META} FROM telemetry.{table} WHERE device_id = ANY($1) AND start_at >= $2 AND start_at < $3"
        f" ORDER BY device_id, {_KEY[table]}",
        list(device_ids), month_start(month), month_start(month + 1),
    )  # fmt: skip
    found: dict[int, list[Meta]] = {}
    for row in rows:
        found.setdefault(row["device_id"], []).append(Meta(*row))
    return found


async def contents(
    connection: Any, table: Table, metas: Sequence[Meta], column: Literal["data", "summary"] = "data"
) -> list[bytes]:
    """The bytes of each of these blocks."""
    if not metas:
        return []
    starts = [meta.start for meta in metas]
    rows = await connection.fetch(
        f"SELECT k.n, b.{column} FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS k(device_id, key, n)"
        f" JOIN telemetry.{table} b ON b.device_id = k.device_id AND b.{_KEY[table]} = k.key"
        " WHERE b.start_at >= $3 AND b.start_at <= $4 ORDER BY k.n",
        *_keys(table, metas), min(starts), max(starts),
    )  # fmt: skip
    return [row[1] for row in rows]


async def where(connection: Any, table: Table, condition: str, value: int, limit: int) -> list[Meta]:
    """Blocks of which something is true."""
    rows = await connection.fetch(f"SELECT {_META} FROM telemetry.{table} WHERE {condition} LIMIT {limit}", value)
    return [Meta(*row) for row in rows]


async def after(connection: Any, table: Table, last: Meta | None, limit: int) -> list[Meta]:
    """The blocks that follow one of them (None: the first ones) by device and key."""
    device_id, key = (-1, -1) if last is None else (last.device_id, _key(table, last))
    rows = await connection.fetch(
        f"SELECT {_META} FROM telemetry.{table} WHERE (device_id, {_KEY[table]}) > ($1::bigint, $2::bigint)"
        f" ORDER BY device_id, {_KEY[table]} LIMIT {limit}",
        device_id, key,
    )  # fmt: skip
    return [Meta(*row) for row in rows]


async def remove(connection: Any, table: Table, metas: Sequence[Meta]) -> int:
    """Takes blocks away, within the caller's transaction; the number of messages in them."""
    if not metas:
        return 0
    starts = [meta.start for meta in metas]
    messages = "messages" if table == "block" else "rows"
    removed: int = await connection.fetchval(
        f"WITH gone AS (DELETE FROM telemetry.{table} b USING unnest($1::bigint[], $2::bigint[]) AS k(device_id, key)"
        f" WHERE b.device_id = k.device_id AND b.{_KEY[table]} = k.key AND b.start_at >= $3 AND b.start_at <= $4"
        f" RETURNING b.{messages} AS messages) SELECT coalesce(sum(messages), 0)::bigint FROM gone",
        *_keys(table, metas), min(starts), max(starts),
    )  # fmt: skip
    return removed


async def insert(connection: Any, blocks: Sequence[BlockRow], events: Sequence[EventRow]) -> None:
    """New blocks, within the caller's transaction, which holds the lock of those who seal."""
    await _see_to_months(connection, [*blocks, *events])
    if blocks:
        await connection.execute(
            "INSERT INTO telemetry.block (device_id, start_at, end_at, first_id, last_id, rows, messages, points,"
            " summary, data) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],"
            " $5::bigint[], $6::int[], $7::int[], $8::int[], $9::bytea[], $10::bytea[])",
            *map(list, zip(*blocks, strict=True)),
        )
    if events:
        await connection.execute(
            "INSERT INTO telemetry.event_block (device_id, start_at, end_at, first_id, last_id, rows, data)"
            " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[],"
            " $7::bytea[])",
            *map(list, zip(*events, strict=True)),
        )


async def count(connection: Any) -> int:
    """Messages in blocks."""
    found: int = await connection.fetchval(
        "SELECT ((SELECT coalesce(sum(messages), 0) FROM telemetry.block)"
        " + (SELECT coalesce(sum(rows), 0) FROM telemetry.event_block))::bigint"
    )
    return found


async def list_months(connection: Any) -> list[Month]:
    """The months for which there are tables, ascending."""
    rows = await connection.fetch("SELECT month, first_id, last_id FROM telemetry.month ORDER BY month")
    return [Month(*row) for row in rows]


def windows(months: Sequence[Month], since: int, until: int) -> Iterator[tuple[int, int]]:
    """The time from `since` to before `until` (ms) as far as there are blocks, the newest part first.

    One month, then two, four and so on: what is found soon looks into few tables, and what is not into each once.
    """
    left = [month.number for month in months if month_of(since) <= month.number <= month_of(until)]
    count = 1
    while left:
        some, left = left[-count:], left[:-count]
        yield max(since, month_start(some[0])), min(until, month_start(some[-1] + 1))
        count *= 2


def month_table(table: Table, month: int) -> str:
    return f"telemetry.{table}_{1970 + month // 12}_{month % 12 + 1:02}"


async def _see_to_months(connection: Any, rows: Sequence[BlockRow | EventRow]) -> None:
    wanted: dict[int, tuple[int, int]] = {}
    for row in rows:
        month = month_of(row.start_at)
        first, last = wanted.get(month, (row.first_id, row.last_id))
        wanted[month] = (min(first, row.first_id), max(last, row.last_id))
    there = {month.number for month in await list_months(connection)}
    # Attached rather than made in place, so that nobody who reads has to wait for it.
    for month in sorted(wanted.keys() - there):
        for table in TABLES:
            name = month_table(table, month)
            await connection.execute(f"""
                CREATE TABLE {name} (LIKE telemetry.{table} INCLUDING ALL);
                ALTER TABLE telemetry.{table} ATTACH PARTITION {name}
                    FOR VALUES FROM ({month_start(month)}) TO ({month_start(month + 1)});
            """)
    await connection.execute(
        "INSERT INTO telemetry.month AS m SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[])"
        " ON CONFLICT (month) DO UPDATE SET first_id = least(m.first_id, excluded.first_id),"
        " last_id = greatest(m.last_id, excluded.last_id)",
        list(wanted), [first for first, _ in wanted.values()], [last for _, last in wanted.values()],
    )  # fmt: skip


def _keys(table: Table, metas: Sequence[Meta]) -> tuple[list[int], list[int]]:
    return [meta.device_id for meta in metas], [_key(table, meta) for meta in metas]


def _key(table: Table, meta: Meta) -> int:
    return meta.start if table == "block" else meta.last_id
