"""What an endpoint depends on is awaited: a plain function would cost each request a trip to another thread."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from roost.app import create_app
from roost.core.settings import Settings


def test_nothing_takes_a_trip_to_another_thread() -> None:
    found = list(_routes(create_app(Settings(_env_file=None)).routes))
    assert len(found) > 150
    asked = {call for route in found for call in (route.endpoint, *_calls(route.dependant))}
    plain = [call for call in asked if inspect.isroutine(call) and not _is_awaited(call)]
    assert not plain, f"Write `async def`: FastAPI runs these in a thread of their own for each request: {plain}"


def _routes(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from _routes(getattr(getattr(route, "original_router", route), "routes", ()))


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)


def _is_awaited(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
