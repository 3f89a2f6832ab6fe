"""Whoever changes the log in the database is found out, whatever they change."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from roost.access.audit.anchor import Anchor
from roost.access.audit.log import SYSTEM, Deed
from roost.access.audit.verification import Report, read_end, verify
from roost.core.database import Database
from tests.access.audit.conftest import KEY, Write

DEEDS = [Deed("test.done", SYSTEM, object_id=number, details={"ä": [1.5, None, "\0"]}) for number in range(1, 8)]
Tamper = Callable[..., Awaitable[None]]


@pytest.fixture
def tamper(database: Database) -> Tamper:
    """`await tamper(sql, …)`: do this to the database behind the hub's back."""

    async def execute(*statements: str) -> None:
        async with database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return execute


async def check(database: Database, key: str = KEY, anchor: Anchor | None = None) -> Report:
    async with database.read() as session:
        return await verify(session, key, anchor)


async def anchor_of(database: Database) -> Anchor:
    async with database.read() as session:
        end = await read_end(session, KEY)
    assert end is not None
    return Anchor(end.last_id, end.last_mac)


async def test_an_untouched_log_is_intact(database: Database, write: Write) -> None:
    await write(*DEEDS[:3])
    await write(*DEEDS[3:])
    report = await check(database, anchor=await anchor_of(database))
    assert (report.intact, report.checked) == (True, 7)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE audit_entries SET actor_name = 'mallory' WHERE id = 3", "Entry 3 was changed."),
        ("UPDATE audit_entries SET outcome = 'refused' WHERE id IN (3, 4, 6)", "Entries 3 to 4 were changed."),
        ("UPDATE audit_entries SET at = '2020-01-01 00:00:00+00' WHERE id = 7", "Entry 7 was changed."),
        ("UPDATE audit_entries SET details = '{}' WHERE id = 1", "Entry 1 was changed."),
        ("UPDATE audit_entries SET mac = 'f' WHERE id = 2", "Entries 2 to 3 were changed."),
        ("DELETE FROM audit_entries WHERE id = 4", "Entry 4 is missing."),
        ("DELETE FROM audit_entries WHERE id < 3", "Entries 1 to 2 are missing."),
        ("DELETE FROM audit_entries WHERE id > 5", "Entries 6 to 7 are missing. They stood at the end."),
        ("DELETE FROM audit_entries", "Entries 1 to 7 are missing. They stood at the end."),
        ("UPDATE audit_head SET last_id = 6", "The row that names the newest entry was changed"),
        ("DELETE FROM audit_head", "The row that names the newest entry is missing"),
        ("UPDATE audit_entries SET id = 70 WHERE id = 7", "Entry 7 is missing."),
    ],
)
async def test_what_was_changed_is_found(
    database: Database, write: Write, tamper: Tamper, statement: str, finding: str
) -> None:
    await write(*DEEDS)
    await tamper(statement)
    report = await check(database)
    assert any(finding in one for one in report.findings), report.findings


async def test_an_entry_that_was_put_in(database: Database, write: Write, tamper: Tamper) -> None:
    await write(*DEEDS)
    columns = "at, actor_kind, action, outcome, details, mac"
    await tamper(f"INSERT INTO audit_entries (id, {columns}) SELECT 8, {columns} FROM audit_entries WHERE id = 7")
    assert "put in" in (await check(database)).findings[0]


async def test_a_log_that_was_cut_off_with_an_older_end_is_missed_by_who_saw_more(
    database: Database, write: Write, tamper: Tamper
) -> None:
    """The seal of an older end is right; only outside of the database is known that there was more."""
    await write(*DEEDS[:3])
    older = await anchor_of(database)
    await tamper("CREATE TABLE kept AS SELECT * FROM audit_head")
    await write(*DEEDS[3:])
    newer = await anchor_of(database)
    await tamper(
        "DELETE FROM audit_entries WHERE id > 3",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head SELECT * FROM kept",
        "DROP TABLE kept",
    )
    assert (await check(database, anchor=older)).intact
    assert "Entry 7 is missing" in (await check(database, anchor=newer)).findings[0]


async def test_a_log_that_was_emptied_and_begun_anew(database: Database, write: Write, tamper: Tamper) -> None:
    await write(*DEEDS)
    seen = await anchor_of(database)
    await tamper("DELETE FROM audit_entries", "DELETE FROM audit_head")
    assert "no entry at all" in (await check(database)).findings[0]
    await write(*DEEDS)
    await write(*DEEDS)
    assert "written anew" in (await check(database, anchor=seen)).findings[0]


async def test_another_key_says_so(database: Database, write: Write) -> None:
    await write(*DEEDS)
    report = await check(database, key="o" * 43)
    assert len(report.findings) == 1
    assert "not the key of the hub" in report.findings[0]


async def test_nobody_without_the_key_mends_the_chain(database: Database, write: Write, tamper: Tamper) -> None:
    """A rewritten entry whose seal was made with a guessed key is as wrong as one without."""
    await write(*DEEDS)
    await tamper("UPDATE audit_entries SET object_id = '9', mac = '" + "a" * 64 + "' WHERE id = 7")
    report = await check(database)
    assert report.findings[0] == "Entry 7 was changed."
