"""Who is told what, when, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from roost.telemetry import ingest as ingest_module
from roost.telemetry.ingest import Ingest
from roost.telemetry.log import LogUnavailable
from roost.telemetry.messages import Committed, Message
from roost.telemetry.refusals import Refusal
from tests.telemetry.conftest import HandClock, identity
from tests.waiting import until


class GatedLog:
    """A log whose commits wait until the test lets them through, or fail."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail: Exception | None = None
        self.groups: list[list[Message]] = []

    async def append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        self.groups.append(list(messages))
        await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        for message in messages:
            message.id = 1


class Answers:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, str | None]] = []
        self.flushed = 0

    def settle(self, token: object, refusal: Refusal | None) -> None:
        self.told.append((token, refusal.code if refusal else None))

    def flush(self) -> None:
        self.flushed += 1


@pytest.fixture
async def gated() -> GatedLog:
    return GatedLog()


@pytest.fixture
async def ingest(gated: GatedLog, clock: HandClock) -> AsyncIterator[Ingest]:
    log: Any = gated
    made = Ingest(log, clock, 0)
    made.start()
    yield made
    gated.gate.set()
    await made.stop()


async def test_nobody_is_told_before_the_commit(ingest: Ingest, gated: GatedLog) -> None:
    gated.gate.clear()
    answers = Answers()
    for number in range(3):
        ingest.submit(identity(1), "telemetry", b'{"v": 1}', answers, number)
    await until(lambda: gated.groups)
    assert answers.told == []
    gated.gate.set()
    await until(lambda: len(answers.told) == 3)
    assert answers.told == [(0, None), (1, None), (2, None)]


async def test_what_arrives_during_a_commit_is_committed_together(ingest: Ingest, gated: GatedLog) -> None:
    gated.gate.clear()
    answers = Answers()
    ingest.submit(identity(1), "telemetry", b'{"v": 1}', answers, 0)
    await until(lambda: gated.groups)
    for number in range(1, 50):
        ingest.submit(identity(number), "telemetry", b'{"v": 1}', answers, number)
    gated.gate.set()
    await until(lambda: len(answers.told) == 50)
    assert [len(group) for group in gated.groups] == [1, 49]
    assert answers.flushed == 2


async def test_refusals_keep_their_place_among_the_answers(ingest: Ingest) -> None:
    answers = Answers()
    for number, body in enumerate([b'{"v":1}', b"nonsense", b'{"v":2}', b'{"s":"text"}']):
        ingest.submit(identity(1), "telemetry", body, answers, number)
    await until(lambda: len(answers.told) == 4)
    assert answers.told == [(0, None), (1, "malformed_json"), (2, None), (3, "no_readings")]


async def test_a_failed_commit_is_told_to_all_of_the_group(ingest: Ingest, gated: GatedLog) -> None:
    gated.fail = LogUnavailable("away")
    with pytest.raises(Refusal) as refused:
        await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    assert (refused.value.status, refused.value.permanent) == (503, False)
    assert refused.value.retry_after_s
    gated.fail = None
    accepted = await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    assert accepted.messages[0].id == 1


async def test_listeners_hear_of_what_is_on_disk_only(ingest: Ingest, gated: GatedLog) -> None:
    heard: list[Committed] = []
    end = ingest.subscribe(heard.extend)
    gated.fail = LogUnavailable("away")
    with pytest.raises(Refusal):
        await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    gated.fail = None
    await ingest.accept(identity(2), "telemetry", b'{"v": 2}')
    assert [(entry.device.device_id, entry.message.readings) for entry in heard] == [(2, {"v": 2})]
    end()
    await ingest.accept(identity(2), "telemetry", b'{"v": 2}')
    assert len(heard) == 1


async def test_a_full_queue_says_so_and_tells_when_there_is_room(
    ingest: Ingest, gated: GatedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "FULL_MESSAGES", 10)
    monkeypatch.setattr(ingest_module, "ROOM_TIMEOUT_S", 0.05)
    gated.gate.clear()
    answers = Answers()
    for number in range(10):
        ingest.submit(identity(1), "telemetry", b'{"v": 1}', answers, number)
    assert ingest.full
    with pytest.raises(Refusal) as refused:
        await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    assert refused.value.status == 503
    room = asyncio.Event()
    ingest.when_room(room.set)
    gated.gate.set()
    await asyncio.wait_for(room.wait(), 5)
    assert not ingest.full


async def test_stopping_answers_what_was_taken_first(gated: GatedLog, clock: HandClock) -> None:
    log: Any = gated
    ingest = Ingest(log, clock, 0)
    ingest.start()
    answers = Answers()
    for number in range(5):
        ingest.submit(identity(1), "telemetry", b'{"v": 1}', answers, number)
    await ingest.stop()
    assert len(answers.told) == 5


async def test_the_rate_is_per_device_and_counts_a_batch_once(gated: GatedLog, clock: HandClock) -> None:
    log: Any = gated
    ingest = Ingest(log, clock, 2)
    ingest.start()
    batch = b"[" + b",".join([b'{"v": 1}'] * 500) + b"]"
    assert len((await ingest.accept(identity(1), "telemetry", batch)).messages) == 500
    await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    with pytest.raises(Refusal) as refused:
        await ingest.accept(identity(1), "telemetry", b'{"v": 1}')
    assert refused.value.status == 429
    await ingest.accept(identity(2), "telemetry", b'{"v": 1}')
    await ingest.stop()
