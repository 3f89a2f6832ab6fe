"""Messages into the newest slice: by COPY where there are many, and on to a new slice when it is full or old."""

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import msgspec

from roost.core.clock import Clock
from roost.telemetry.log import LogUnavailable
from roost.telemetry.messages import Message
from roost.telemetry.postgres.connections import Connections, Moved
from roost.telemetry.postgres.schema import COLUMNS, LOCK_KEY, RESEND_LOCK_KEY, Slice, create_slice, list_slices

logger = logging.getLogger(__name__)

RESEND_WINDOW_MS = 24 * 3600 * 1000
SLICE_ROWS = 400_000
SLICE_AGE_MS = 24 * 3600 * 1000
# From so many messages on COPY is quicker than one statement, although it needs its ids beforehand.
COPY_ROWS = 16

# What binary COPY begins and ends with; a NULL has the length -1.
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_COPY_TRAILER = struct.pack("!h", -1)
_NUMBERS = struct.Struct("!hiqiqiqiq").pack
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_encode = msgspec.json.Encoder().encode

New = Sequence[tuple[int, Message]]


class _UnfitError(asyncpg.InterfaceError, ValueError):  # type: ignore[misc]
    """A value that the database has no place for: what the driver says of those that it encodes itself."""


class Appender:
    """Knows the slices as they were a moment ago. Where that is no longer true, an append is repeated."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._slices: list[Slice] = []
        self._on_closed: Callable[[], object] = lambda: None

    def when_closed(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when it turns out that there is a slice that can be sealed."""
        self._on_closed = callback

    @property
    def has_closed_slices(self) -> bool:
        """Whether there is anything that could be sealed, as far as is known here."""
        return any(part.closed_at is not None and part.known_until is None for part in self._slices)

    async def look_again(self) -> None:
        """Learns what has become of the slices. Raises LogUnavailable."""
        async with self._connections.changing() as connection:
            self._slices = await list_slices(connection)

    async def _see_slices(self, connection: Any) -> None:
        if not self._slices:
            self._slices = await list_slices(connection)
            if self.has_closed_slices:
                self._on_closed()

    async def insert(
        self, connection: Any, device_ids: Sequence[int], messages: Sequence[Message]
    ) -> list[tuple[Message, int]]:
        """What is new and the ids it gets, within a transaction that appends. Raises Moved: again, from the start."""
        await self._see_slices(connection)
        new = await self._without_resends(connection, device_ids, messages)
        if not new:
            return []
        newest = self._slices[-1]
        ids = await (_copy if len(new) >= COPY_ROWS else _insert)(connection, newest, new)
        # Whoever closes a slice says so first and then waits for those who are writing to it: so this is seen here,
        # or what is written here is seen there.
        if await connection.fetchval("SELECT closed_at IS NULL FROM telemetry.slice WHERE number = $1", newest.number):
            return [(message, row_id) for (_, message), row_id in zip(new, ids, strict=True)]
        self._slices = []
        raise Moved(f"slice {newest.number} was closed in between")

    def forget(self) -> None:
        """After a failure nothing of what was known need be true."""
        self._slices = []

    async def roll_if_due(self, last_id: int) -> None:
        """Begins a new slice once the newest is full or old. Failing is no harm: the next append tries again."""
        newest = self._slices[-1] if self._slices else None
        if newest is None:
            return
        full = last_id - newest.first_id >= SLICE_ROWS
        if full or self._clock.now_ms() - newest.opened_at >= SLICE_AGE_MS:
            try:
                await roll(self._connections, newest.number, self._clock.now_ms())
                await self.look_again()
                self._on_closed()
            except LogUnavailable:
                logger.exception("could not start a new telemetry slice")

    async def _without_resends(self, connection: Any, device_ids: Sequence[int], messages: Sequence[Message]) -> New:
        pairs = list(zip(device_ids, messages, strict=True))
        asked = [(device_id, message.message_id) for device_id, message in pairs if message.message_id is not None]
        if not asked:
            return pairs
        # The original may be in a commit that is not finished: another hub's, or one that a killed hub left behind.
        # It cannot be seen yet, so its end has to be waited for, in a statement before the one that looks.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", RESEND_LOCK_KEY)
        since = self._clock.now_ms() - RESEND_WINDOW_MS
        rows = await connection.fetch(_known_query(self._slices, since), *map(list, zip(*asked, strict=True)), since)
        known = {tuple(row) for row in rows}
        new = []
        for device_id, message in pairs:
            if message.message_id is not None:
                if (device_id, message.message_id) in known:
                    continue
                known.add((device_id, message.message_id))
            new.append((device_id, message))
        return new


async def roll(connections: Connections, number: int, now_ms: int) -> None:
    """Closes the slice of this number, unless somebody else did, and begins the next. Raises LogUnavailable."""
    async with connections.changing() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        status = await connection.execute(
            "UPDATE telemetry.slice SET closed_at = $2 WHERE number = $1 AND closed_at IS NULL", number, now_ms
        )
        if status == "UPDATE 1":
            first_id = await connection.fetchval("SELECT last_value + is_called::int FROM telemetry.message_id")
            await create_slice(connection, number + 1, first_id, now_ms)


def _known_query(slices: Sequence[Slice], since: int) -> str:
    tables = [
        part.table if part.known_until is None else part.known_table
        for part in slices
        if part.last_received_at is None or part.last_received_at >= since
    ]
    found = " OR ".join(
        f"EXISTS (SELECT FROM {table} h WHERE h.device_id = w.device_id AND h.message_id = w.message_id"
        " AND h.received_at >= $3)"
        for table in tables
    )
    return (
        "SELECT w.device_id, w.message_id FROM unnest($1::bigint[], $2::text[]) AS w(device_id, message_id)"  # noqa: S608
        f" WHERE {found}"
    )


async def _insert(connection: Any, part: Slice, new: New) -> list[int]:
    columns = list(zip(*(_values(device_id, message) for device_id, message in new), strict=True))
    rows = await connection.fetch(
        f"INSERT INTO {part.table} ({COLUMNS}) SELECT nextval('telemetry.message_id'), d, o, r, e, p, u, m FROM"  # noqa: S608
        " (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[],"
        " $7::text[]) WITH ORDINALITY AS t(d, o, r, e, p, u, m, n) ORDER BY n) AS t RETURNING id",
        *columns,
    )
    return [row[0] for row in rows]


def _values(device_id: int, message: Message) -> tuple[object, ...]:
    units = _encode(message.units) if message.units else None
    return (
        device_id, message.observed_at, message.received_at, message.event_type, message.payload, units,
        message.message_id,
    )  # fmt: skip


async def _copy(connection: Any, part: Slice, new: New) -> list[int]:
    rows = await connection.fetch("SELECT nextval('telemetry.message_id') FROM generate_series(1, $1)", len(new))
    ids = [row[0] for row in rows]
    try:
        body = b"".join(chain((_COPY_HEADER,), _copy_rows(ids, new), (_COPY_TRAILER,)))
    except (struct.error, UnicodeEncodeError) as error:
        raise _UnfitError(str(error)) from error
    schema, table = part.table.split(".")
    await connection.copy_to_table(table, schema_name=schema, source=_once(body), format="binary")
    return ids


def _copy_rows(ids: Sequence[int], new: New) -> Iterator[bytes]:
    for row_id, (device_id, message) in zip(ids, new, strict=True):
        payload, units = message.payload, message.units
        yield _NUMBERS(8, 8, row_id, 8, device_id, 8, message.observed_at, 8, message.received_at)
        yield _NULL if message.event_type is None else _field(message.event_type.encode())
        yield _LENGTH(len(payload)) + payload
        yield _field(_encode(units)) if units else _NULL
        yield _NULL if message.message_id is None else _field(message.message_id.encode())


def _field(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


async def _once(body: bytes) -> Any:
    yield body
