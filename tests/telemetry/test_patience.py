"""A question about history ends with its answer, with the asker's patience, or with the asker."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from roost.core.errors import Invalid, Unavailable
from roost.telemetry.patience import Patience


class Asker:
    """A request whose client stays until it `leaves`."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self._sent_body = False

    def request(self) -> Request:
        return Request({"type": "http", "method": "GET", "headers": []}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        if not self._sent_body:
            self._sent_body = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Work:
    """Something that never ends by itself."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_an_answer_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    assert await Patience(1).answer(Asker().request(), lambda: asyncio.sleep(0, "found")) == "found"
    assert asyncio.all_tasks() == before


async def test_work_ends_when_its_asker_has_gone() -> None:
    asker, work = Asker(), Work()
    asking = asyncio.create_task(Patience(1).answer(asker.request(), work))
    await work.begun.wait()
    asker.leaves.set()
    with pytest.raises(ClientDisconnect):
        await asking
    assert work.cancelled


async def test_work_that_takes_too_long_is_ended_and_says_what_to_ask_instead() -> None:
    work = Work()
    with pytest.raises(Invalid, match="shorter time") as refused:
        await Patience(1, timeout_s=0.01).answer(Asker().request(), work)
    assert refused.value.code == "took_too_long"
    assert work.cancelled


async def test_who_never_had_a_turn_may_come_again() -> None:
    work = Work()
    with pytest.raises(Unavailable):
        await Patience(at_once=0, timeout_s=0.01).answer(Asker().request(), work)
    assert not work.begun.is_set()


async def test_a_failure_of_the_work_is_passed_on() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Patience(1).answer(Asker().request(), fail)
