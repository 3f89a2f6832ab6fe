"""A credential that is used from somewhere new is told once; its first address and its usual ones are not."""

import pytest
from sqlalchemy import event

from roost.access.audit.addresses import DEVICES, Sighting, network_of
from roost.access.audit.journal import AuditJournal
from roost.access.audit.log import Actor
from roost.core.database import Database
from tests.access.audit.conftest import Entries
from tests.stopped_clock import StoppedClock


def sighting(address: str, device_id: int = 7) -> Sighting:
    return Sighting(DEVICES, device_id, address, Actor("device", device_id, "esp"), organization_id=3)


async def see(journal: AuditJournal, *sightings: Sighting) -> None:
    for one in sightings:
        if not journal.addresses.knows(one.kind, one.credential_id, one.address):
            journal.used(one)
        await journal.flush()


async def test_only_a_new_address_is_told_and_only_once(
    database: Database, clock: StoppedClock, entries: Entries
) -> None:
    journal = AuditJournal(database, clock)
    await see(journal, sighting("10.0.0.1"), sighting("10.0.0.1"), sighting("10.0.0.2"), sighting("10.0.0.1"))
    await see(journal, sighting("10.0.0.2", device_id=8))
    [told] = await entries()
    assert (told.action, told.address, told.organization_id) == ("device.used_from_new_address", "10.0.0.2", 3)
    assert (told.actor_id, told.object_id) == (7, "7")
    await journal.stop()


async def test_it_is_remembered_over_a_restart(database: Database, clock: StoppedClock, entries: Entries) -> None:
    for _ in range(2):
        journal = AuditJournal(database, clock)
        await see(journal, sighting("10.0.0.1"), sighting("10.0.0.2"))
        await journal.stop()
    assert len(await entries()) == 1


async def test_several_at_once(database: Database, clock: StoppedClock, entries: Entries) -> None:
    journal = AuditJournal(database, clock)
    await see(journal, *(sighting("10.0.0.1", device_id) for device_id in range(3)))
    for device_id in range(3):
        journal.used(sighting("2001:db8::1", device_id))
    await journal.flush()
    assert [told.actor_id for told in await entries()] == [0, 1, 2]
    await journal.stop()


async def test_a_thousand_devices_that_come_at_once_are_kept_together(
    database: Database, clock: StoppedClock, entries: Entries
) -> None:
    inserts: list[str] = []
    event.listen(
        database.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: (
            inserts.append(statement) if "INTO credential_addresses" in statement else None
        ),
    )
    journal = AuditJournal(database, clock)
    for address in ("10.0.0.1", "10.0.0.2"):
        for device_id in range(1_000):
            journal.used(sighting(address, device_id))
        inserts.clear()
        await journal.flush()
        assert len(inserts) <= 3
    assert {told.actor_id for told in await entries()} == set(range(1_000))
    assert {told.address for told in await entries()} == {"10.0.0.2"}
    await journal.stop()


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_one_place_however_it_is_written(address: str, network: str) -> None:
    assert network_of(address) == network
