"""Waiting for a condition instead of for a while: a test goes on as soon as what it waits for is true."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_POLL_INTERVAL_S = 0.01


@overload
async def until(condition: Callable[[], Awaitable[T]], timeout_s: float = 5.0, *, what: str = "") -> T: ...


@overload
async def until(condition: Callable[[], T], timeout_s: float = 5.0, *, what: str = "") -> T: ...


async def until(condition: Callable[[], Any], timeout_s: float = 5.0, *, what: str = "") -> Any:
    """Poll `condition` (sync or async) until it is true and return its value; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(what, timeout_s, value))
        await asyncio.sleep(_POLL_INTERVAL_S)


def wait_until(condition: Callable[[], T], timeout_s: float = 5.0, *, what: str = "") -> T:
    """Like `until`, for tests that are not coroutines."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(what, timeout_s, value))
        time.sleep(_POLL_INTERVAL_S)


def _complaint(what: str, timeout_s: float, value: object) -> str:
    return f"{what or 'The condition'} did not come true within {timeout_s} s; its last value was {value!r}."
