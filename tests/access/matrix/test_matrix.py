"""The matrix: every endpoint × every kind of caller, held against the table that was written from the contract."""

import pytest

from tests.access.matrix import (
    requests_accounts,
    requests_bridges,
    requests_devices,
    requests_people,
    requests_places,
    requests_tasks,
)
from tests.access.matrix.requests import ASKINGS, send
from tests.access.matrix.routes import endpoints
from tests.access.matrix.sockets import open_socket, speak_mqtt
from tests.access.matrix.table import CALLERS, HTTP, MQTT, endpoint_of, rows
from tests.access.matrix.world import World

ROWS, TOPICS = rows(HTTP), rows(MQTT)
# Imported for what they register.
_ASKINGS_OF = (requests_accounts, requests_bridges, requests_devices, requests_people, requests_places, requests_tasks)


def test_every_endpoint_has_a_row() -> None:
    existing, known = set(endpoints()), {endpoint_of(label) for label in ROWS}
    assert not existing - known, (
        f"Who may use {sorted(existing - known)}? Add a row for each to tests/access/matrix/table.py, from the "
        "contract and not from what the hub answers, and how it is asked to one of the requests_*.py beside it "
        "(a GET with A's ids alone needs nothing there)."
    )
    assert not known - existing, f"Rows for endpoints that are gone: {sorted(known - existing)}"
    assert not ASKINGS.keys() - ROWS.keys(), f"Asked, but in no row: {sorted(ASKINGS.keys() - ROWS.keys())}"


# All of it on SQLite; on PostgreSQL the reads. Refused writes are on both in test_memberships.py.
ON_BOTH = [label for label in ROWS if label.startswith(("GET ", "WS "))]


@pytest.mark.parametrize(
    ("database_kind", "label"),
    [("sqlite", label) for label in ROWS] + [("postgresql", label) for label in ON_BOTH],
    indirect=["database_kind"],
)
def test_endpoint(world: World, label: str) -> None:
    got, texts = {}, {}
    for name in CALLERS:
        caller = world.callers[name]
        if label.startswith("WS "):
            got[name] = open_socket(world, caller, endpoint_of(label).removeprefix("WS "))
        else:
            got[name], answer = send(world, caller, label)
            texts[name] = answer.text[:300]
    wrong = {name: (got[name], texts.get(name)) for name in CALLERS if got[name] != ROWS[label][name]}
    assert got == ROWS[label], wrong


@pytest.mark.parametrize(
    ("database_kind", "label"), [("sqlite", label) for label in TOPICS], indirect=["database_kind"]
)
def test_topic(world: World, label: str) -> None:
    packet, topic = label.split(" ")
    topic = topic.format(**world.ids)
    assert {name: speak_mqtt(world.callers[name], packet, topic) for name in CALLERS} == TOPICS[label]
