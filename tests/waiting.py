"""Waiting for a condition instead of for a while: a test goes on as soon as what it waits for is true."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_SHORTEST_POLL_S = 0.01
_LONGEST_POLL_S = 0.25
# Who has waited for long asks less often: asking a hub a hundred times a second kept the machine from all else.
_POLL_SHARE = 0.08


@overload
async def until(condition: Callable[[], Awaitable[T]], timeout_s: float = 5.0, *, what: str = "") -> T: ...


@overload
async def until(condition: Callable[[], T], timeout_s: float = 5.0, *, what: str = "") -> T: ...


async def until(condition: Callable[[], Any], timeout_s: float = 5.0, *, what: str = "") -> Any:
    """Poll `condition` (sync or async) until it is true and return its value; AssertionError after `timeout_s`."""
    start = time.monotonic()
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        waited = time.monotonic() - start
        if waited > timeout_s:
            raise AssertionError(_complaint(what, timeout_s, value))
        await asyncio.sleep(_pause(waited))


def wait_until(condition: Callable[[], T], timeout_s: float = 5.0, *, what: str = "") -> T:
    """Like `until`, for tests that are not coroutines."""
    start = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - start
        if waited > timeout_s:
            raise AssertionError(_complaint(what, timeout_s, value))
        time.sleep(_pause(waited))


def _pause(waited_s: float) -> float:
    return min(max(_SHORTEST_POLL_S, waited_s * _POLL_SHARE), _LONGEST_POLL_S)


def _complaint(what: str, timeout_s: float, value: object) -> str:
    return f"{what or 'The condition'} did not come true within {timeout_s} s; its last value was {value!r}."
