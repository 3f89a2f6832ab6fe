"""Notes without a transaction of their own get into the log, and none is lost silently."""

import sqlite3
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from roost.access.audit.journal import SIGN_IN_REFUSED, AuditJournal
from roost.access.audit.log import ANONYMOUS, Deed
from roost.core.database import Database
from roost.places.registration import register
from tests.access.audit.conftest import Entries
from tests.stopped_clock import StoppedClock
from tests.waiting import until


def refused(path: str) -> Deed:
    return Deed("request.refused", ANONYMOUS, "refused", address="10.0.0.1", details={"path": path})


async def test_a_note_is_written_by_itself(database: Database, clock: StoppedClock, entries: Entries) -> None:
    journal = AuditJournal(database, clock)
    await journal.start()
    journal.note(refused("/a"))
    [entry] = await until(entries)
    assert (entry.action, entry.outcome, entry.address) == ("request.refused", "refused", "10.0.0.1")
    assert entry.at == clock.now()
    await journal.stop()


async def test_what_waits_at_the_end_is_written(database: Database, clock: StoppedClock, entries: Entries) -> None:
    journal = AuditJournal(database, clock)
    await journal.start()
    for _ in range(3):
        journal.note(refused("/a"))
    await journal.stop()
    assert [entry.details.get("count") for entry in await entries()] == [None, 2]


async def test_a_database_that_is_away_delays_notes_and_loses_none_silently(
    database: Database, clock: StoppedClock, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Mock(side_effect=OperationalError("BEGIN", {}, sqlite3.OperationalError("unable to open database file")))
    monkeypatch.setattr("roost.access.audit.journal._MOST_WAITING", 5)
    journal = AuditJournal(database, clock)
    with monkeypatch.context() as broken:
        broken.setattr(database, "write", away)
        for number in range(8):
            journal.note(refused(f"/{number}"))
        with pytest.raises(OperationalError):
            await journal.flush()
    await journal.flush()
    written = await entries()
    assert [entry.details["path"] for entry in written[:-1]] == [f"/{number}" for number in range(5)]
    assert (written[-1].action, written[-1].details) == ("audit.entries_lost", {"count": 3})
    await journal.stop()


async def test_a_refused_sign_in_names_the_account_and_nothing_that_may_be_a_password(
    database: Database, clock: StoppedClock, entries: Entries
) -> None:
    async with database.write() as session:
        made = await register(session, clock, email="ada@example.org", password_hash="x", username="ada")
    journal = AuditJournal(database, clock)
    for name in ("ADA", "correct horse battery staple"):
        journal.note(Deed(SIGN_IN_REFUSED, ANONYMOUS, "refused", object_kind="user", object_name=name))
    await journal.flush()
    known, unknown = (await entries())[-2:]
    assert (known.object_id, known.object_name) == (str(made.user.id), "ada@example.org")
    assert known.organization_id == made.organization.id
    assert (unknown.object_id, unknown.object_name) == (None, None)
    await journal.stop()


async def test_text_that_postgresql_cannot_hold(database: Database, clock: StoppedClock, entries: Entries) -> None:
    journal = AuditJournal(database, clock)
    journal.note(Deed("request.refused", ANONYMOUS, "refused", object_name="a\0b\ud800", details={"path": "\0"}))
    await journal.flush()
    assert (await entries())[0].object_name == "a\ufffdb?"
    await journal.stop()
