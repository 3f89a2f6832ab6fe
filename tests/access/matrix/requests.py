"""How each endpoint is asked: ids in the path, a body that is good. What is not written here is a GET with A's ids."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.access.matrix.callers import Caller
from tests.access.matrix.table import endpoint_of
from tests.access.matrix.world import World


@dataclass(frozen=True)
class Ask:
    """A request. `path` has the values of placeholders that are not A's; `shows` is a field and its value in a list.

    What it is about is not good for another request when this one succeeds, unless it `spares` it.
    """

    body: Any = None
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    shows: tuple[str, object] | None = None
    spares: bool = False
    afterwards: Callable[[httpx2.Response], object] | None = None


Asking = Callable[[World, Caller], Ask]
ASKINGS: dict[str, Asking] = {}


def asks(*labels: str) -> Callable[[Asking], Asking]:
    """Registers how these rows are asked."""

    def keep(asking: Asking) -> Asking:
        for label in labels:
            assert label not in ASKINGS, label
            ASKINGS[label] = asking
        return asking

    return keep


def send(world: World, caller: Caller, label: str) -> tuple[str, httpx2.Response]:
    """Ask as the row says; what came of it in the words of the table."""
    endpoint = endpoint_of(label)
    ask = ASKINGS[label](world, caller) if label in ASKINGS else Ask()
    method, path = endpoint.split(" ")
    values = world.ids | ask.path
    url = re.sub(r"\{(\w+)(?::path)?\}", lambda found: str(values[found[1]]), path)
    # Longer than any list here: what a list is about shall not be on the second page.
    query = {"limit": 500, **ask.query} if ask.shows else ask.query
    prefix = "" if path in PAGES else "/api/v1"
    answer = world.callers["anon"].http.request(
        method, world.server.url + prefix + url, headers=caller.headers, params=query, json=ask.body
    )
    succeeded = answer.status_code < 400
    if ask.afterwards is not None and succeeded:
        ask.afterwards(answer)
    world.spares.settle(used_up=succeeded and not ask.spares)
    return (_cell(ask, answer) if succeeded else str(answer.status_code)), answer


def _cell(ask: Ask, answer: httpx2.Response) -> str:
    if ask.shows is None:
        return "ok"
    name, value = ask.shows
    return "ok" if any(entry[name] == value for entry in answer.json()) else "none"


PAGES = ("/", "/app", "/app/{path:path}", "/docs", "/docs/{name}", "/redoc", "/openapi.json")
