"""Where several processes take reports (PostgreSQL): whoever comes second waits, and sees what the first one did."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from roost.core.errors import Conflict
from roost.tasks import orders, reports
from roost.tasks.schemas import TaskCompletion
from roost.tasks.service import place_of
from tests.conftest import DatabaseKind
from tests.postgres_cluster import PostgresCluster
from tests.tasks.conftest import Queue, opened_queue
from tests.waiting import until

DONE = TaskCompletion(status="done", result={"ok": True})

UntilSomebodyWaits = Callable[[], Awaitable[Any]]


@pytest.fixture
async def shared_queue(filled_urls: Callable[[DatabaseKind], str], tmp_path: Path) -> AsyncIterator[Queue]:
    """A queue on PostgreSQL."""
    async with opened_queue(await asyncio.to_thread(filled_urls, "postgresql"), tmp_path) as made:
        yield made


@pytest.fixture
def until_somebody_waits(shared_queue: Queue, postgres: PostgresCluster) -> UntilSomebodyWaits:
    """Returns once a statement stands before a lock."""
    name = shared_queue.database.engine.url.database
    waiting = f"SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{name}'"
    return lambda: until(lambda: asyncio.to_thread(postgres.execute, waiting), what="A statement that waits")


async def test_a_completion_does_not_undo_a_cancellation(
    shared_queue: Queue, until_somebody_waits: UntilSomebodyWaits
) -> None:
    queue, here = shared_queue, shared_queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here)
    async with queue.database.write() as elsewhere:
        await orders.cancel(elsewhere, queue.owner, here.device_id, task.id, queue.clock.now())
        await elsewhere.flush()
        completing = asyncio.create_task(queue.tasks.complete(here, task.id, DONE))
        await until_somebody_waits()
    with pytest.raises(Conflict, match="cancelled"):
        await completing
    assert (await queue.row(task.id)).status == "cancelled"


async def test_of_two_completions_the_second_is_told_of_the_first(
    shared_queue: Queue, until_somebody_waits: UntilSomebodyWaits
) -> None:
    queue, here = shared_queue, shared_queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here)
    first = reports.Completion(here.device_id, place_of(here), task.id, None, "failed", {"why": "no power"})
    async with queue.database.write() as elsewhere:
        await reports.take(elsewhere, [first], queue.clock.now())
        await elsewhere.flush()
        completing = asyncio.create_task(queue.tasks.complete(here, task.id, DONE))
        await until_somebody_waits()
    with pytest.raises(Conflict, match="has ended: it is failed"):
        await completing
    assert (await queue.row(task.id)).result == {"why": "no power"}


async def test_a_cancellation_does_not_undo_a_completion(
    shared_queue: Queue, until_somebody_waits: UntilSomebodyWaits
) -> None:
    queue, here = shared_queue, shared_queue.devices[0]
    ordered = await queue.order(here)
    [task] = await queue.poll(here)
    done = reports.Completion(here.device_id, place_of(here), task.id, None, "done", None)
    async with queue.database.write() as elsewhere:
        await reports.take(elsewhere, [done], queue.clock.now())
        await elsewhere.flush()
        cancelling = asyncio.create_task(queue.cancel(ordered))
        await until_somebody_waits()
    with pytest.raises(Conflict, match="has ended: it is done"):
        await cancelling
    assert (await queue.row(task.id)).status == "done"
