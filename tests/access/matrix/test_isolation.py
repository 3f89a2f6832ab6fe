"""Nothing of one organization is ever in an answer to another: every GET, with filters aimed at the other's ids."""

import base64
import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.access.matrix.callers import Caller
from tests.access.matrix.conftest import Worlds
from tests.access.matrix.twins import Twin
from tests.api_document import api_document
from tests.conftest import DatabaseKind

Twins = tuple[Twin, Twin]
SPIES = ("own", "viewer", "editor", "technician", "dev", "token")
# Words that a filter of this name means; the others take names, or ids by their own name.
_MEANT: dict[str, list[Any]] = {
    "from": ["2020-01-01T00:00:00Z"], "to": ["2999-01-01T00:00:00Z"], "limit": [1, 500], "bucket": ["1h"],
    "agg": ["avg"], "action": ["device", "user", "home"], "sample_ms": [0], "top_n": [0],
    "wait": [0], "is_active": ["true"],
}  # fmt: skip


@dataclass(frozen=True)
class Read:
    """A GET of the OpenAPI document: its placeholders, its filters, and what those may be if that is a fixed set."""

    path: str
    placeholders: tuple[str, ...]
    filters: dict[str, list[Any]]


@cache
def reads() -> tuple[Read, ...]:
    """Every GET of the API."""
    return tuple(_reads())


def _reads() -> Iterator[Read]:
    for path, operations in api_document()["paths"].items():
        if "get" in operations:
            declared = operations["get"].get("parameters", [])
            filters = {one["name"]: _fixed(one["schema"]) for one in declared if one["in"] == "query"}
            yield Read(path.removeprefix("/api/v1"), tuple(re.findall(r"\{(\w+)\}", path)), filters)


def _fixed(schema: dict[str, Any]) -> list[Any]:
    return next((one["enum"] for one in [schema, *schema.get("anyOf", ())] if "enum" in one), [])


@pytest.fixture
def twins(worlds: Worlds, database_kind: DatabaseKind) -> Twins:
    """The two organizations, shared by these tests: they are read only."""
    return worlds.twins(database_kind)


def test_whoever_is_at_home_sees_it(twins: Twins) -> None:
    """Else nothing were proved by what follows: the words and ids are there, and the requests find them."""
    twin = twins[0]
    telling = [read.path for read in reads() if twin.betrayed_by(_said(_ask(twin.people["own"], read, twin, {}))[0])]
    assert len(telling) > 30, telling


@pytest.mark.parametrize(
    # Which rows a caller gets is decided in SQL that both databases are given alike: everybody on one of them will do.
    ("database_kind", "role"),
    [("sqlite", role) for role in SPIES] + [("postgresql", "own"), ("postgresql", "technician")],
    indirect=["database_kind"],
)
def test_every_read_aimed_at_the_other(twins: Twins, role: str) -> None:
    other, own = twins
    for read in reads():
        _look(own.people[role], read, other, {})
        for name in read.filters:
            for value in _values(read, name, other)[:2]:
                _look(own.people[role], read, other, {name: value})


@settings(
    max_examples=250, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_any_read_with_any_filters(twins: Twins, data: st.DataObject) -> None:
    victim, spying = data.draw(st.permutations(twins))
    read = data.draw(st.sampled_from(reads()))
    named = data.draw(st.sampled_from([victim, victim, spying])) if read.placeholders else victim
    names = data.draw(st.lists(st.sampled_from(sorted(read.filters)), unique=True, max_size=4)) if read.filters else []
    query = {}
    for name in names:
        aimed_at = data.draw(st.sampled_from([victim, spying]))
        query[name] = data.draw(st.sampled_from(_values(read, name, aimed_at)))
    caller = data.draw(st.sampled_from([spying.people[role] for role in SPIES]))
    _look(caller, read, named, query, victim=victim)


def _look(caller: Caller, read: Read, named: Twin, query: dict[str, Any], *, victim: Twin | None = None) -> None:
    answer = _ask(caller, read, named, query)
    said, asked = _said(answer)
    # What the caller has typed may be repeated in a refusal; in an answer, what it is about may not.
    betrayed = [word for word in (victim or named).betrayed_by(said) if answer.is_success or word not in asked]
    assert not betrayed, (caller.name, read.path, query, answer.status_code, betrayed[:5], said[:1000])


def _ask(caller: Caller, read: Read, named: Twin, query: dict[str, Any]) -> httpx2.Response:
    path = re.sub(r"\{(\w+)\}", lambda found: str(named.ids.get(found[1], [1])[0]), read.path)
    # The machine is measured over a window, which takes its time.
    return caller.ask("GET", path, params={"sample_ms": 0} | query if read.path == "/system/metrics" else query)


def _said(answer: httpx2.Response) -> tuple[str, str]:
    """All that an answer tells, its cursor included; and the request that it may repeat."""
    cursor = base64.urlsafe_b64decode(answer.headers.get("x-next-cursor", "") + "==").decode()
    is_log = answer.is_success and "/audit" in answer.request.url.path
    told = _without_own_words(answer) if is_log else answer.text
    return f"{told}\n{cursor}", str(answer.request.url)


def _without_own_words(answer: httpx2.Response) -> str:
    """The audit log tells what the caller's own people asked for in vain, and their filters: as they typed them."""
    kind = answer.headers["content-type"].partition(";")[0]
    if kind == "text/csv":
        entries = list(csv.DictReader(answer.text.splitlines()))
    elif kind == "application/x-ndjson":
        entries = [json.loads(line) for line in answer.text.splitlines()]
    else:
        entries = answer.json()
    typed = {
        "request.refused": ("object_id", "details"), "audit.exported": ("details",), "telemetry.exported": ("details",),
    }  # fmt: skip
    kept = [
        {name: value for name, value in entry.items() if name not in typed.get(entry["action"], ())}
        for entry in entries
    ]  # fmt: skip
    return json.dumps(kept)


def _values(read: Read, name: str, twin: Twin) -> list[Any]:
    if read.filters[name]:
        return read.filters[name]
    if name == "cursor":
        return [base64.urlsafe_b64encode(f"[{ids[0]}]".encode()).decode().rstrip("=") for ids in twin.ids.values()]
    return _MEANT.get(name) or twin.ids.get(name) or twin.words
