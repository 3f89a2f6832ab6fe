"""The hub itself notices at its start that its audit log was tampered with meanwhile."""

from pathlib import Path

import pytest
from sqlalchemy import text

from roost.access.audit import anchor
from roost.access.audit.log import use_key
from roost.access.audit.watch import AuditWatch
from roost.core.database import Database
from tests.access.audit.conftest import KEY, Entries


async def run_once(database: Database, folder: Path, key: str = KEY) -> None:
    use_key(database, key)
    watch = AuditWatch(database, folder, key)
    await watch.start()
    await watch.stop()


async def test_every_start_is_an_entry_and_nothing_else(database: Database, tmp_path: Path, entries: Entries) -> None:
    for _ in range(3):
        await run_once(database, tmp_path)
    written = await entries()
    assert [entry.action for entry in written] == ["hub.started"] * 3
    assert anchor.load(tmp_path) == anchor.Anchor(3, written[-1].mac)
    assert (tmp_path / anchor.ANCHOR_FILE).stat().st_mode & 0o777 == 0o600


async def test_entries_that_went_meanwhile_are_told_once(
    database: Database, tmp_path: Path, entries: Entries, caplog: pytest.LogCaptureFixture
) -> None:
    await run_once(database, tmp_path)
    async with database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM audit_entries"))
        await connection.execute(text("DELETE FROM audit_head"))
    await run_once(database, tmp_path)
    await run_once(database, tmp_path)
    actions = [entry.action for entry in await entries()]
    assert actions == ["audit.inconsistency_found", "hub.started", "hub.started"]
    assert "Entry 1 is missing" in caplog.text


async def test_another_key_is_told(database: Database, tmp_path: Path, entries: Entries) -> None:
    await run_once(database, tmp_path)
    await run_once(database, tmp_path, key="o" * 43)
    told = (await entries())[1]
    assert told.action == "audit.inconsistency_found"
    assert "another key" in told.details["found"][0]


def test_an_anchor_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"last_id": "x", "last_mac": ""}', "7"):
        (tmp_path / anchor.ANCHOR_FILE).write_text(content)
        assert anchor.load(tmp_path) is None
