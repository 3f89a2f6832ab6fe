"""The way of a task through the queue: ordered, leased, completed; and what may come between."""

import asyncio
from datetime import timedelta

import pytest

from roost.core.errors import Conflict, NotFound, TooLarge, TooMany
from roost.core.rates import RateLimiter
from roost.tasks.leasing import Poll
from roost.tasks.models import Task
from roost.tasks.schemas import ContextBeat, LeaseExtension, TaskCompletion, TaskProgress
from roost.tasks.service import place_of
from roost.tasks.states import LOST_LEASES
from tests.tasks.conftest import Queue

DONE = TaskCompletion(status="done", result={"ok": True})


async def test_a_task_goes_to_its_device_once_and_is_done(queue: Queue) -> None:
    here, there = queue.devices
    ordered = await queue.order(here, "config.apply", payload={"mode": "safe"})
    assert await queue.poll(there) == []
    [task] = await queue.poll(here)
    assert (task.id, task.type, task.payload, task.attempt) == (ordered.id, "config.apply", {"mode": "safe"}, 1)
    assert task.lease_expires_at == queue.clock.now() + timedelta(seconds=60)
    assert await queue.poll(here) == []
    answer = await queue.tasks.complete(here, task.id, DONE)
    assert (answer.status, answer.attempt, answer.reason) == ("done", 1, None)
    row = await queue.row(task.id)
    assert (row.status, row.result, row.ended_at) == ("done", {"ok": True}, queue.clock.now())
    assert [change["status"] for change in queue.changes] == ["queued", "leased", "done"]
    assert [status for status, _ in await queue.steps(task.id)] == ["leased", "done"]


async def test_the_most_urgent_comes_first_and_then_the_oldest(queue: Queue) -> None:
    here = queue.devices[0]
    for number, priority in enumerate((0, 5, 0, 5)):
        await queue.order(here, f"task-{number}", priority=priority)
    assert [task.type for task in await queue.poll(here, limit=3)] == ["task-1", "task-3", "task-0"]


async def test_an_expired_lease_puts_the_task_back_with_the_attempt_counted(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.order(here)
    [first] = await queue.poll(here, lease_s=5)
    queue.clock.advance(5)
    [second] = await queue.poll(here)
    assert (second.id, second.attempt) == (first.id, 2)
    assert second.lease_token != first.lease_token
    with pytest.raises(Conflict, match="another attempt"):
        await queue.tasks.complete(here, first.id, DONE.model_copy(update={"lease_token": first.lease_token}))
    assert (await queue.tasks.complete(here, second.id, DONE)).attempt == 2
    assert ("queued", "Nothing was heard for 5 s after attempt 1; it is tried again.") in await queue.steps(first.id)


async def test_a_lease_that_nobody_took_over_is_over_all_the_same(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here)
    queue.clock.advance(60)
    with pytest.raises(Conflict, match="run out") as refused:
        await queue.tasks.complete(here, task.id, DONE.model_copy(update={"lease_token": task.lease_token}))
    assert refused.value.code == "lease_lost"


async def test_leases_that_are_lost_again_and_again_end_the_task(queue: Queue) -> None:
    here = queue.devices[0]
    task = await queue.order(here)
    for _ in range(LOST_LEASES):
        assert len(await queue.poll(here)) == 1
        queue.clock.advance(61)
        await queue.upkeep.run_once()
    row = await queue.row(task.id)
    assert (row.status, row.attempts) == ("failed", LOST_LEASES)
    assert row.reason is not None
    assert "the last one" in row.reason


async def test_progress_and_extension_keep_the_lease(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here, lease_s=30)
    queue.clock.advance(20)
    held = await queue.tasks.progress(here, task.id, TaskProgress(percent=40, note="erasing"))
    assert held.lease_expires_at == queue.clock.now() + timedelta(seconds=30)
    await queue.tasks.progress(here, task.id, TaskProgress(percent=60))
    held = await queue.tasks.extend(here, task.id, LeaseExtension(lease_seconds=3600, lease_token=task.lease_token))
    assert held.lease_seconds == 600
    row = await queue.row(task.id)
    assert (row.progress_percent, row.progress_note) == (60, "erasing")
    with pytest.raises(Conflict):
        await queue.tasks.extend(here, task.id, LeaseExtension(lease_token="another"))


async def test_a_completion_said_again_gets_the_first_answer(queue: Queue) -> None:
    here, there = queue.devices
    await queue.order(here)
    [task] = await queue.poll(here)
    said = DONE.model_copy(update={"lease_token": task.lease_token})
    first = await queue.tasks.complete(here, task.id, said)
    queue.clock.advance(86_400)
    assert await queue.tasks.complete(here, task.id, said) == first
    for other in (DONE, TaskCompletion(status="failed", lease_token=task.lease_token)):
        with pytest.raises(Conflict) as refused:
            await queue.tasks.complete(here, task.id, other)
        assert refused.value.code == "task_ended"
    with pytest.raises(NotFound):
        await queue.tasks.complete(there, task.id, said)


async def test_two_equal_completions_at_once_are_one(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here)
    answers = await asyncio.gather(*(queue.tasks.complete(here, task.id, DONE) for _ in range(5)))
    assert len({answer.model_dump_json() for answer in answers}) == 1
    assert [status for status, _ in await queue.steps(task.id)] == ["leased", "done"]


async def test_a_reported_failure_is_final_unless_more_attempts_were_asked_for(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.order(here)
    [task] = await queue.poll(here)
    answer = await queue.tasks.complete(here, task.id, TaskCompletion(status="failed", result={"error": "no valve"}))
    assert (answer.status, answer.reason) == ("failed", "no valve")

    await queue.order(here, max_attempts=3)
    for attempt, pause_s in ((1, 5), (2, 10)):
        [task] = await queue.poll(here)
        failed = TaskCompletion(status="failed", result="jammed", lease_token=task.lease_token)
        answer = await queue.tasks.complete(here, task.id, failed)
        assert (answer.status, answer.attempt) == ("queued", attempt)
        assert answer.retry_at == queue.clock.now() + timedelta(seconds=pause_s)
        assert await queue.poll(here) == []
        queue.clock.advance(pause_s)
        # Even now, with the task waiting again, the same words get the same answer.
        assert await queue.tasks.complete(here, task.id, failed) == answer
    [task] = await queue.poll(here)
    answer = await queue.tasks.complete(here, task.id, TaskCompletion(status="failed"))
    assert (answer.status, answer.attempt) == ("failed", 3)


async def test_the_same_failure_without_a_token_is_a_new_one_at_the_next_attempt(queue: Queue) -> None:
    here = queue.devices[0]
    task = await queue.order(here, max_attempts=2)
    for _ in range(2):
        await queue.poll(here)
        await queue.tasks.complete(here, task.id, TaskCompletion(status="failed", result="jammed"))
        queue.clock.advance(60)
    assert (await queue.row(task.id)).status == "failed"


async def test_a_cancelled_task_is_over_also_while_it_is_leased(queue: Queue) -> None:
    here = queue.devices[0]
    waiting, leased = await queue.order(here, priority=-1), await queue.order(here)
    await queue.poll(here)
    for task in (waiting, leased):
        await queue.cancel(task)
        assert (await queue.row(task.id)).reason == "Cancelled by ada@example.org."
        with pytest.raises(Conflict, match="has ended"):
            await queue.cancel(task)
    assert await queue.poll(here) == []
    for report in (
        queue.tasks.complete(here, leased.id, DONE),
        queue.tasks.progress(here, leased.id, TaskProgress(percent=1)),
    ):
        with pytest.raises(Conflict) as refused:
            await report
        assert refused.value.code == "task_cancelled"


async def test_a_task_waits_for_its_time_and_no_longer(queue: Queue) -> None:
    here, now = queue.devices[0], queue.clock.now()
    late = await queue.order(here, "late", not_before=now + timedelta(hours=1))
    gone = await queue.order(here, "gone", expires_at=now + timedelta(minutes=30))
    queue.clock.advance(1800)
    assert await queue.poll(here) == []
    await queue.upkeep.run_once()
    assert (await queue.row(gone.id)).status == "expired"
    queue.clock.advance(1800)
    assert [task.id for task in await queue.poll(here)] == [late.id]


async def test_a_task_waits_for_a_context_that_can_do_it(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.tasks.note_context(here, ContextBeat(context_key="io", capabilities={"tasks": ["io.write"]}))
    camera = await queue.order(here, "camera.shoot", priority=9)
    named = await queue.order(here, "io.write", execution_context_key="other")
    able = await queue.order(here, "io.write")
    assert [task.id for task in await queue.poll(here, 10, "io")] == [able.id]
    assert [task.id for task in await queue.poll(here, 10, "other")] == [camera.id, named.id]


async def test_a_new_capability_wakes_who_waits(queue: Queue) -> None:
    here = queue.devices[0]
    await queue.tasks.note_context(here, ContextBeat(capabilities={"tasks": []}))
    task = await queue.order(here)
    waiting = asyncio.create_task(queue.poll(here, wait_s=30))
    await asyncio.sleep(0)
    await queue.tasks.note_context(here, ContextBeat(capabilities={"tasks": ["blink"]}))
    assert [one.id for one in await waiting] == [task.id]


async def test_a_long_poll_is_woken_by_a_new_task(queue: Queue) -> None:
    here = queue.devices[0]
    waiting = [asyncio.create_task(queue.poll(here, wait_s=30)) for _ in range(2)]
    await asyncio.sleep(0)
    first, second = await queue.order(here, "first"), await queue.order(here, "second")
    got = [task.id for answer in await asyncio.gather(*waiting) for task in answer]
    assert sorted(got) == [first.id, second.id]


async def test_a_long_poll_ends_when_the_hub_goes_down(queue: Queue) -> None:
    waiting = asyncio.create_task(queue.poll(queue.devices[0], wait_s=30))
    await asyncio.sleep(0)
    queue.tasks.arrivals.close()
    assert await waiting == []


@pytest.mark.parametrize("subject", ["device.token_revoked", "device.released", "device.deleted"])
async def test_nothing_is_leased_with_a_token_that_is_good_no_more(queue: Queue, subject: str) -> None:
    here, begun = queue.devices[0], asyncio.Event()
    poll = Poll(here.device_id, place_of(here), "default", 1, 60, "http")

    async def stay() -> None:
        begun.set()
        await asyncio.Event().wait()

    waiting = asyncio.create_task(queue.tasks.poll(poll, 30, stay))
    await begun.wait()
    queue.bus.publish(subject, {"device_id": here.device_id})
    task = await queue.order(here)
    assert await waiting == []
    assert (await queue.row(task.id)).status == "queued"


async def test_nothing_is_leased_to_a_client_that_has_gone(queue: Queue) -> None:
    here, gone = queue.devices[0], asyncio.Event()
    poll = Poll(here.device_id, place_of(here), "default", 1, 60, "http")

    async def leave() -> None:
        await gone.wait()

    waiting = asyncio.create_task(queue.tasks.poll(poll, 30, leave))
    await asyncio.sleep(0)
    gone.set()
    assert await waiting == []
    task = await queue.order(here)
    assert (await queue.row(task.id)).status == "queued"


async def test_a_device_that_asks_in_a_tight_loop_is_told_to_wait(queue: Queue) -> None:
    here, there = queue.devices
    queue.tasks.empty_polls = RateLimiter(queue.clock, per_minute=1, burst=3)
    for _ in range(3):
        await queue.poll(here)
    with pytest.raises(TooMany, match="wait=60"):
        await queue.poll(here)
    await queue.order(here)
    assert len(await queue.poll(here)) == 1
    assert await queue.poll(there) == []


async def test_what_is_too_large_is_not_taken(queue: Queue) -> None:
    here = queue.devices[0]
    with pytest.raises(TooLarge):
        await queue.order(here, payload={"text": "x" * 17 * 1024})
    await queue.order(here)
    [task] = await queue.poll(here)
    with pytest.raises(TooLarge):
        await queue.tasks.complete(here, task.id, TaskCompletion(status="done", result="x" * 17 * 1024))
    assert (await queue.row(task.id)).status == "leased"


async def test_tasks_that_ended_long_ago_are_forgotten(queue: Queue) -> None:
    here = queue.devices[0]
    old, young, waiting = [await queue.order(here, priority=-number) for number in range(3)]
    await queue.poll(here)
    await queue.tasks.complete(here, old.id, DONE)
    queue.clock.advance(91 * 86_400)
    await queue.poll(here)
    await queue.tasks.complete(here, young.id, DONE)
    assert await queue.upkeep.forget() >= 1
    async with queue.database.read() as session:
        assert await session.get(Task, old.id) is None
    assert [(await queue.row(task.id)).status for task in (young, waiting)] == ["done", "queued"]
    assert await queue.steps(old.id) == []
