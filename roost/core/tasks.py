"""Ending tasks for good."""

import asyncio
from typing import Any

_AGAIN_S = 2.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancels these tasks and waits until they have ended, whatever they end with.

    Once is not always enough: `asyncio.wait_for`, which drivers use, loses a cancellation that arrives together with
    what it waited for (until Python 3.12).
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()
