"""The tables of the log, which it creates and looks after itself, outside the migrations' schema.

    slice               what there is of head_<n>: open (the newest), closed, sealed (all of it is in blocks), dropped
    head_<n>            a row per message, in order of arrival
    sealed              which devices of a closed slice are in blocks
    known_<n>           the message ids of a dropped slice that are still recognised
    block_<year>_<month>, event_block_<year>_<month>   sealed messages and the documents of events; see `blocks`
    month               for which months there are such tables, and between which ids their messages are

Every id in a slice is smaller than every id in the next one.
"""

# ruff: noqa: S608 - every word of the statements is our own

from dataclasses import dataclass
from typing import Any

from roost.telemetry.log import LogUnavailable

FORMAT = 2
# Any numbers that every hub agrees on.
LOCK_KEY = 0x526F6F73
RESEND_LOCK_KEY = LOCK_KEY + 1
SEALING_LOCK_KEY = LOCK_KEY + 3

COLUMNS = "id, device_id, observed_at, received_at, event_type, payload, units, message_id"

_SCHEMA = f"""
CREATE SCHEMA IF NOT EXISTS telemetry;
CREATE TABLE telemetry.format (version int NOT NULL);
INSERT INTO telemetry.format VALUES ({FORMAT});
CREATE SEQUENCE telemetry.message_id;
CREATE TABLE telemetry.slice (
    number bigint PRIMARY KEY, first_id bigint NOT NULL, opened_at bigint NOT NULL, closed_at bigint,
    first_observed_at bigint, last_observed_at bigint, last_received_at bigint, sealed_at bigint, known_until bigint);
CREATE TABLE telemetry.sealed (slice bigint NOT NULL, device_id bigint NOT NULL, PRIMARY KEY (slice, device_id));
CREATE TABLE telemetry.month (month int PRIMARY KEY, first_id bigint NOT NULL, last_id bigint NOT NULL);
CREATE TABLE telemetry.block (
    device_id bigint NOT NULL, start_at bigint NOT NULL, end_at bigint NOT NULL, first_id bigint NOT NULL,
    last_id bigint NOT NULL, rows int NOT NULL, messages int NOT NULL, points int NOT NULL, summary bytea NOT NULL,
    data bytea NOT NULL, PRIMARY KEY (device_id, start_at)) PARTITION BY RANGE (start_at);
CREATE INDEX block_arrival ON telemetry.block (device_id, last_id);
CREATE TABLE telemetry.event_block (
    device_id bigint NOT NULL, first_id bigint NOT NULL, last_id bigint NOT NULL, start_at bigint NOT NULL,
    end_at bigint NOT NULL, rows int NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (device_id, last_id, start_at)) PARTITION BY RANGE (start_at);
CREATE INDEX event_block_place ON telemetry.event_block USING gist (int8range(first_id, last_id, '[]'));
ALTER TABLE telemetry.block ALTER summary SET STORAGE EXTERNAL, ALTER data SET STORAGE EXTERNAL;
ALTER TABLE telemetry.event_block ALTER data SET STORAGE EXTERNAL;
"""
# What stood in one table before. Its name stays taken: a hub of the version before would otherwise make it anew, and
# write where nobody looks any more.
_TAKE_OVER = """
ALTER TABLE telemetry.head ALTER COLUMN id DROP IDENTITY;
ALTER TABLE telemetry.head RENAME TO head_1;
"""
_OCCUPIED = (
    "CREATE VIEW telemetry.head AS SELECT 'messages are in telemetry.head_<n> and telemetry.block'::text AS moved"
)


@dataclass(frozen=True, slots=True)
class Slice:
    """Times in ms since 1970 UTC; those of the content are unknown (None) until the slice has been looked through."""

    number: int
    first_id: int
    opened_at: int
    closed_at: int | None
    first_observed_at: int | None
    last_observed_at: int | None
    last_received_at: int | None
    sealed_at: int | None
    known_until: int | None

    @property
    def table(self) -> str:
        return f"telemetry.head_{self.number}"

    @property
    def known_table(self) -> str:
        return f"telemetry.known_{self.number}"


async def prepare(connection: Any, now_ms: int) -> None:
    """Sees to the tables, within the caller's transaction; takes over what an older version left.

    Raises:
        LogUnavailable: a newer version of Roost wrote them.
    """
    if await _version(connection) is None:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    version = await _version(connection)
    if version is None:
        await _create(connection, now_ms)
    elif version > FORMAT:
        raise LogUnavailable(f"The telemetry was written by a newer version of Roost (format {version}).")


async def _version(connection: Any) -> int | None:
    if await _kind(connection, "format") is None:
        return None
    version: int = await connection.fetchval("SELECT version FROM telemetry.format")
    return version


async def _kind(connection: Any, name: str) -> str | None:
    """Table or view, or None. By the catalogue: what a name resolves to is remembered while one waits for a lock."""
    kind: str | None = await connection.fetchval(
        "SELECT c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'telemetry' AND c.relname = $1",
        name,
    )
    return kind


async def _create(connection: Any, now_ms: int) -> None:
    await connection.execute(_SCHEMA)
    first_id = 1
    takes_over = await _kind(connection, "head") == "r"
    if takes_over:
        first_id = await connection.fetchval(
            "SELECT last_value + is_called::int FROM telemetry.head_id_seq"  # an identity's sequence has this name
        )
        await connection.execute(_TAKE_OVER)
        await connection.execute(
            "INSERT INTO telemetry.slice (number, first_id, opened_at, closed_at) VALUES (1, 0, 0, $1)", now_ms
        )
        await connection.execute("SELECT setval('telemetry.message_id', $1, false)", first_id)
    await connection.execute(_OCCUPIED)
    await create_slice(connection, 2 if takes_over else 1, first_id, now_ms)


async def create_slice(connection: Any, number: int, first_id: int, now_ms: int) -> None:
    """A new slice to write to. Nobody vacuums it: rows are hardly ever deleted from it, and soon it goes wholly."""
    await connection.execute(f"""
        CREATE TABLE telemetry.head_{number} (
            id bigint PRIMARY KEY, device_id bigint NOT NULL, observed_at bigint NOT NULL, received_at bigint NOT NULL,
            event_type text, payload bytea NOT NULL, units bytea, message_id text) WITH (autovacuum_enabled = false);
        CREATE INDEX ON telemetry.head_{number} (device_id, observed_at);
        CREATE INDEX ON telemetry.head_{number} (device_id, message_id) WHERE message_id IS NOT NULL;
        CREATE INDEX ON telemetry.head_{number} (device_id, id) WHERE event_type IS NOT NULL;
        INSERT INTO telemetry.slice (number, first_id, opened_at)
        VALUES ({number}, {first_id}, {now_ms});
    """)


async def list_slices(connection: Any) -> list[Slice]:
    """All there are, oldest first."""
    rows = await connection.fetch(
        "SELECT number, first_id, opened_at, closed_at, first_observed_at, last_observed_at, last_received_at,"
        " sealed_at, known_until FROM telemetry.slice ORDER BY number"
    )
    return [Slice(*row) for row in rows]


# Everything with indexes and what is kept out of line.
SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'telemetry' AND c.relkind = 'r'
"""
