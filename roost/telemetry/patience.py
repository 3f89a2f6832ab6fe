"""How long a question about history may take: until the answer, the end of patience, or the asker's leaving."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from roost.core.errors import Invalid, Unavailable

T = TypeVar("T")

TIMEOUT_S = 20.0


class Patience:
    """At most `at_once` questions are worked on at a time; each has `timeout_s` from when it was asked."""

    def __init__(self, at_once: int, timeout_s: float = TIMEOUT_S) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._timeout_s = timeout_s

    async def answer(self, request: Request, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` answers. It is cancelled when time is up, and when whoever asked has gone.

        Raises Unavailable when its turn never came, Invalid when it took too long, ClientDisconnect when nobody waits.
        """
        begun = False
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                begun = True
                return await _while_connected(request, work())
        except TimeoutError:
            if not begun:
                raise Unavailable("Much history is being read; try again shortly.", retry_after_s=5) from None
            raise Invalid(
                f"This took longer than {self._timeout_s:g} seconds; ask for a shorter time, fewer devices or series,"
                " or for what needs no single values (avg, min, max, sum, count, first, last).",
                code="took_too_long",
            ) from None


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    answering, leaving = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise ClientDisconnect
    finally:
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
