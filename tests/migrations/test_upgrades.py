"""Data survives the upgrade from every version that people run: what was there is there afterwards, unchanged."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from roost.core.settings import Settings
from roost.migrations import runner

# What an installation of the first release holds: a user, a home, a claimed device with its token, an open session.
FIRST_RELEASE = (
    "INSERT INTO users (id, username, username_key, email, email_key, password_hash, is_active, created_at, updated_at)"
    " VALUES (7, 'ada', 'ada', 'ada@example.org', 'ada@example.org', '$argon2id$', {true}, {now}, {now})",
    "INSERT INTO organizations (id, name, created_at, updated_at) VALUES (3, 'Ada', {now}, {now})",
    "INSERT INTO grants (id, user_id, role, organization_id, created_at) VALUES (5, 7, 'owner', 3, {now})",
    "INSERT INTO homes (id, organization_id, name, created_at, updated_at) VALUES (9, 3, 'Home', {now}, {now})",
    "INSERT INTO sessions (id, user_id, created_at, used_at, expires_at) VALUES (11, 7, {now}, {now}, {now})",
    "INSERT INTO refresh_tokens (id, session_id, digest, created_at) VALUES (13, 11, 'spent', {now})",
    "INSERT INTO devices (id, device_uid, name, organization_id, home_id, capabilities, status, claimed_at, created_at,"
    " updated_at) VALUES (15, 'esp-1', 'Boiler', 3, 9, '{{}}', 'online', {now}, {now}, {now})",
    "INSERT INTO device_tags (device_id, tag) VALUES (15, 'cellar')",
    "INSERT INTO device_tokens (id, device_id, digest, replaces, created_at) VALUES (17, 15, 'token', {false}, {now})",
    "INSERT INTO device_logs (id, device_id, observed_at, level, source, message)"
    " VALUES (19, 15, {now}, 'info', 'hub', 'paired')",
)
TABLES: tuple[str, ...] = ("users", "organizations", "grants", "homes", "sessions", "refresh_tokens")
TABLES += ("devices", "device_tags", "device_tokens", "device_logs")


@pytest.fixture
def settings(tmp_path: Path, empty_database_url: str) -> Settings:
    """An empty database of each kind."""
    return Settings(data_dir=tmp_path, database_url=empty_database_url, _env_file=None)


def fill_first_release(connection: Connection) -> None:
    literals = {"true": "true", "false": "false", "now": "'2026-11-22 12:00:00+00'"}
    if connection.dialect.name == "sqlite":
        literals = {"true": "1", "false": "0", "now": "'2026-11-22 12:00:00.000000'"}
    for statement in FIRST_RELEASE:
        connection.execute(sa.text(statement.format(**literals).replace(":", r"\:")))


def contents(connection: Connection) -> dict[str, list[dict[str, object]]]:
    return {
        table: [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
        for table in TABLES
    }


async def test_everything_of_the_first_release_is_there_after_the_upgrade(settings: Settings) -> None:
    await runner.upgrade(settings, "0001")
    await runner.on_connection(settings, fill_first_release)
    before = await runner.on_connection(settings, contents)
    await runner.upgrade(settings)
    after = await runner.on_connection(settings, contents)
    for table in TABLES:
        kept = [{name: row[name] for name in old} for row, old in zip(after[table], before[table], strict=True)]
        assert kept == before[table], table
    assert after["sessions"][0]["method"] == "password"
    await runner.downgrade(settings, "0001")
    assert await runner.on_connection(settings, contents) == before


async def test_an_id_is_never_given_twice_after_the_upgrade(settings: Settings) -> None:
    await runner.upgrade(settings, "0001")
    await runner.on_connection(settings, fill_first_release)
    await runner.upgrade(settings)

    def replace_the_organization(connection: Connection) -> int:
        now = "2026-11-22 12:00:00" + ("" if connection.dialect.name == "sqlite" else "+00")
        make = f"INSERT INTO organizations (name, created_at, updated_at) VALUES ('x', '{now}', '{now}') RETURNING id"
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT setval(pg_get_serial_sequence('organizations', 'id'), 3)"))
        for table in ("device_logs", "device_tokens", "device_tags", "devices", "homes", "grants", "organizations"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
        return int(connection.scalar(sa.text(make.replace(":", r"\:"))) or 0)

    assert await runner.on_connection(settings, replace_the_organization) > 3
