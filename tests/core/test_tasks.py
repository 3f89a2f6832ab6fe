"""Tasks that are ended have ended."""

import asyncio

from roost.core.tasks import end


async def test_one_that_loses_a_cancellation_ends_too() -> None:
    begun, lost = asyncio.Event(), 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await begun.wait()
    await end(task)
    assert task.cancelled()


async def test_what_it_failed_with_is_nobodys_surprise() -> None:
    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("gone")

    task, over = asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(0))
    await over
    await end(task, over)
    assert isinstance(task.exception(), OSError)
