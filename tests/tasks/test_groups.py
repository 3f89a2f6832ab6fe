"""Many requests in one transaction: each gets its own answer, and none suffers for another."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.errors import Conflict, RoostError, Unavailable
from roost.tasks.groups import Groups
from tests.tasks.conftest import Queue


@pytest.fixture
def groups(queue: Queue) -> Callable[..., Groups[int, int]]:
    """Groups on the queue's database; the sizes of those that were served are noted."""

    def make(served: list[int], *, refuses: int = 0, breaks: int = 0, away: bool = False) -> Groups[int, int]:
        async def work(session: AsyncSession, numbers: Sequence[int]) -> list[int | RoostError]:
            served.append(len(numbers))
            if away:
                raise Unavailable("The database is busy.")
            if breaks in numbers:
                raise ValueError("No database can hold this.")
            return [Conflict("Not this one.") if number == refuses else number * 10 for number in numbers]

        return Groups(queue.database, work, "numbers")

    return make


async def test_what_comes_meanwhile_shares_the_next_transaction(groups: Callable[..., Groups[int, int]]) -> None:
    served: list[int] = []
    asked = groups(served, refuses=3)
    answers = await asyncio.gather(*(asked.ask(number) for number in (1, 2, 3, 4)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, Conflict)] == [10, 20, 40]
    assert isinstance(answers[2], Conflict)
    assert served == [4]


async def test_who_breaks_a_group_breaks_it_alone(groups: Callable[..., Groups[int, int]]) -> None:
    served: list[int] = []
    asked = groups(served, breaks=2)
    answers = await asyncio.gather(*(asked.ask(number) for number in (1, 2, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (10, 30)
    assert isinstance(answers[1], ValueError)
    assert served == [3, 1, 1, 1]


async def test_a_database_that_is_away_is_asked_once(groups: Callable[..., Groups[int, int]]) -> None:
    served: list[int] = []
    asked = groups(served, away=True)
    answers = await asyncio.gather(*(asked.ask(number) for number in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert served == [2]


async def test_who_has_gone_is_not_served(groups: Callable[..., Groups[int, int]]) -> None:
    served: list[int] = []
    asked = groups(served)
    gone, stays = asyncio.create_task(asked.ask(1)), asyncio.create_task(asked.ask(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 20
    assert served in ([1], [2])
