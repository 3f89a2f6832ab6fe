"""The queue against a simple reference, with two processes at work on one database.

No task is leased twice at once, none is lost, none is completed twice: after every step the reference says what each
call must have answered.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from roost.core.errors import Conflict
from roost.devices.identity import DeviceIdentity
from roost.tasks.models import Task
from roost.tasks.schemas import LeasedTask, TaskCompleted, TaskCompletion
from roost.tasks.service import Tasks
from roost.tasks.states import LOST_LEASES
from roost.tasks.upkeep import Upkeep
from tests.conftest import DatabaseKind
from tests.tasks.conftest import Queue, add_devices, opened_queue

T = TypeVar("T")
LEASE_S = 30
ENDED = {"done", "failed", "cancelled", "expired"}


@dataclass
class Known:
    """A task as the reference sees it."""

    id: int
    device: int
    priority: int
    max_attempts: int | None
    available_at: datetime
    expires_at: datetime | None
    context_key: str | None
    status: str = "queued"
    attempts: int = 0
    lease_expires_at: datetime | None = None
    tokens: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str | None], TaskCompleted] = field(default_factory=dict)

    def takeable(self, now: datetime, context_key: str) -> bool:
        in_time = self.expires_at is None or self.expires_at > now
        for_it = self.context_key in {None, context_key}
        return self.status == "queued" and self.available_at <= now and in_time and for_it

    def held(self, now: datetime) -> bool:
        return self.status == "leased" and self.lease_expires_at is not None and self.lease_expires_at > now

    def take_back(self, now: datetime) -> None:
        """Its lease may be over."""
        if self.status != "leased" or self.held(now):
            return
        if self.attempts >= (self.max_attempts or LOST_LEASES):
            self.status = "failed"
        elif self.expires_at is not None and self.expires_at <= now:
            self.status = "expired"
        else:
            self.status, self.available_at = "queued", now


class Machine(RuleBasedStateMachine):
    """What people, devices and time may do."""

    runner: asyncio.Runner
    queue: Queue

    @initialize()
    def begin(self) -> None:
        self.owner, self.devices = self._run(add_devices(self.queue.database, self.queue.clock, 2))
        self.queue.owner = self.owner
        self.known: dict[int, Known] = {}
        # Each has connections, and waiting reports and leases, of its own.
        self.processes = [self.queue.tasks, self.second]

    second: Tasks

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def now(self) -> datetime:
        return self.queue.clock.now()

    @rule(
        device=st.integers(0, 1),
        priority=st.integers(-1, 1),
        max_attempts=st.sampled_from([None, None, 1, 2]),
        not_before_s=st.sampled_from([None, None, None, 20]),
        expires_s=st.sampled_from([None, None, None, 45]),
        context_key=st.sampled_from([None, None, "other"]),
    )
    def order(  # noqa: PLR0917 - it is called by keyword
        self, device: int, priority: int, max_attempts: int | None, not_before_s: int | None, expires_s: int | None,
        context_key: str | None,
    ) -> None:  # fmt: skip
        not_before = None if not_before_s is None else self.now + timedelta(seconds=not_before_s)
        expires_at = None if expires_s is None else self.now + timedelta(seconds=expires_s)
        task = self._run(
            self.queue.order(
                self.devices[device], priority=priority, max_attempts=max_attempts, not_before=not_before,
                expires_at=expires_at, execution_context_key=context_key,
            )
        )  # fmt: skip
        available_at = not_before or self.now
        self.known[task.id] = Known(
            task.id, device, priority, max_attempts, available_at, expires_at, context_key
        )  # fmt: skip

    @rule(
        polls=st.lists(
            st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(1, 3), st.sampled_from(["default", "other"])),
            min_size=1,
            max_size=4,
        )
    )
    def poll_at_once(self, polls: list[tuple[int, int, int, str]]) -> None:
        async def all_at_once() -> list[list[LeasedTask]]:
            return await asyncio.gather(
                *(
                    self._poll(self.processes[process], self.devices[device], limit, context_key)
                    for process, device, limit, context_key in polls
                )
            )

        if any(known.status == "leased" and not known.held(self.now) for known in self.known.values()):
            # Whoever polls puts back what is lost; of two at once, the one that does not gets it a moment later.
            self.look_after()
        answers = self._run(all_at_once())
        got = [task for answer in answers for task in answer]
        assert len({task.id for task in got}) == len(got), "A task was leased twice at once."
        for device in {device for _, device, _, _ in polls}:
            self._expect(device, [(limit, key) for _, of, limit, key in polls if of == device], got)
        for task in got:
            known = self.known[task.id]
            known.status, known.attempts = "leased", known.attempts + 1
            known.lease_expires_at = self.now + timedelta(seconds=LEASE_S)
            assert (task.attempt, task.lease_token in known.tokens) == (known.attempts, False)
            known.tokens.append(task.lease_token)

    async def _poll(self, tasks: Tasks, device: DeviceIdentity, limit: int, context_key: str) -> list[LeasedTask]:
        queue = Queue(
            self.queue.database, self.queue.clock, self.queue.bus, tasks, self.queue.upkeep, self.owner, self.devices
        )
        return await queue.poll(device, limit, context_key, LEASE_S)

    def _expect(self, device: int, asked: list[tuple[int, str]], got: list[LeasedTask]) -> None:
        of_device = [known for known in self.known.values() if known.device == device]
        for known in of_device:
            known.take_back(self.now)
        fitting = {known.id for known in of_device if any(known.takeable(self.now, key) for _, key in asked)}
        ids = [task.id for task in got if self.known[task.id].device == device]
        assert set(ids) <= fitting, "Something was leased that may not be."
        keys = {key for _, key in asked}
        if len(keys) == 1:
            urgent = sorted(fitting, key=lambda id_: (-self.known[id_].priority, id_))
            wanted = urgent[: sum(limit for limit, _ in asked)]
            assert sorted(ids) == sorted(wanted), "Not the most urgent ones, or not as many as there are."

    @precondition(lambda self: any(known.tokens for known in self.known.values()))
    @rule(
        which=st.integers(0, 50), token=st.sampled_from(["last", "first", "none"]),
        status=st.sampled_from(["done", "failed"]), process=st.integers(0, 1), twice=st.booleans(),
    )  # fmt: skip
    def complete(self, which: int, token: str, status: str, process: int, twice: bool) -> None:
        leased = [known for known in self.known.values() if known.tokens]
        known = leased[which % len(leased)]
        given = {"last": known.tokens[-1], "first": known.tokens[0], "none": None}[token]
        said = TaskCompletion.model_validate({"status": status, "lease_token": given})
        counts = known.held(self.now) and given in {None, known.tokens[-1]}
        before = known.answers.get((status, given))
        device = self.devices[known.device]

        async def say() -> list[TaskCompleted | BaseException]:
            both = [self.processes[process], self.processes[1 - process]] if twice else [self.processes[process]]
            return await asyncio.gather(
                *(tasks.complete(device, known.id, said) for tasks in both), return_exceptions=True
            )

        for answer in self._run(say()):
            if not counts and before is None:
                assert isinstance(answer, Conflict), answer
                continue
            assert isinstance(answer, TaskCompleted), answer
            if not counts:
                assert answer == before, "The very same words got another answer."
                continue
            # Of two at once, the first one counts, and the second one hears the same.
            counts, before = False, answer
            known.answers[status, given] = answer
            retried = status == "failed" and known.max_attempts is not None and known.attempts < known.max_attempts
            known.status = "queued" if retried else status
            if retried:
                known.available_at = self.now + timedelta(seconds=5 * 2 ** (known.attempts - 1))
            assert (answer.status, answer.attempt) == (known.status, known.attempts)

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        known = list(self.known.values())[which % len(self.known)]
        task = self._run(self.queue.row(known.id))
        if known.status in ENDED:
            with pytest.raises(Conflict):
                self._run(self.queue.cancel(task))
        else:
            self._run(self.queue.cancel(task))
            known.status = "cancelled"

    @rule(seconds=st.sampled_from([1, 5, 31]))
    def time_passes(self, seconds: int) -> None:
        self.queue.clock.advance(seconds)

    @rule()
    def look_after(self) -> None:
        async def both_processes() -> None:
            await asyncio.gather(self.queue.upkeep.run_once(), self.second_upkeep.run_once())

        self._run(both_processes())
        for known in self.known.values():
            known.take_back(self.now)
            if known.status == "queued" and known.expires_at is not None and known.expires_at <= self.now:
                known.status = "expired"

    second_upkeep: Upkeep

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "known"):
            return
        found = self._run(self._stored())
        assert found == {known.id: (known.status, known.attempts) for known in self.known.values()}

    async def _stored(self) -> dict[int, tuple[str, int]]:
        query = select(Task.id, Task.status, Task.attempts)
        own = [device.device_id for device in self.devices]
        async with self.queue.database.read() as session:
            rows = await session.execute(query.where(Task.device_id.in_(own)))
            return {task_id: (status, attempts) for task_id, status, attempts in rows}

    def teardown(self) -> None:
        """Nothing is lost: whatever has not ended can be had, one after the other."""
        if not hasattr(self, "known"):
            return
        self.queue.clock.advance(24 * 3600)
        self.look_after()
        for device in (0, 1):
            while any(known.takeable(self.now, "other") for known in self.known.values() if known.device == device):
                self.poll_at_once([(0, device, 3, "other"), (1, device, 1, "other")])


@pytest.mark.parametrize("examples", [5, pytest.param(100, marks=pytest.mark.soak)])
def test_the_queue_does_what_the_reference_says(
    filled_urls: Callable[[DatabaseKind], str], database_kind: DatabaseKind, tmp_path: Path, examples: int
) -> None:
    url = filled_urls(database_kind)
    few = examples < 100
    with asyncio.Runner() as runner:
        first, second = (opened_queue(url, tmp_path) for _ in range(2))
        queue, other = runner.run(first.__aenter__()), runner.run(second.__aenter__())
        # One clock for both.
        other_tasks = Tasks(other.database, queue.clock, other.bus)
        other_upkeep = Upkeep(other.database, queue.clock, keep_days=90)

        class Running(Machine):
            pass

        Running.runner, Running.queue, Running.second, Running.second_upkeep = runner, queue, other_tasks, other_upkeep
        run_state_machine_as_test(
            Running,
            settings=settings(
                max_examples=examples,
                stateful_step_count=20 if few else 50,
                deadline=None,
                derandomize=few,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(other_tasks.stop())
        for opened in (second, first):
            runner.run(opened.__aexit__(None, None, None))
