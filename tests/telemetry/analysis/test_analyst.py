"""Every question has the same answer before and after the messages it is about were sealed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from roost.telemetry import sqlite_log
from roost.telemetry.aggregates import AGGREGATES
from roost.telemetry.analysis.analyst import Analyst
from roost.telemetry.blocks import sealing
from roost.telemetry.blocks.sealing import Sealed
from roost.telemetry.buckets import CalendarBuckets, FixedBuckets
from roost.telemetry.log import Log
from roost.telemetry.messages import Message, Value
from roost.telemetry.postgres import appending, upkeep
from roost.telemetry.questions import BucketQuestion
from roost.telemetry.spans import Span
from tests.conftest import DatabaseKind
from tests.telemetry.conftest import NOW, HandClock
from tests.waiting import until

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
SPAN = Span(NOW - 3 * DAY, NOW)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "SLICE_ROWS", 400)
    monkeypatch.setattr(appending, "SLICE_ROWS", 400)


Seal = Callable[[], Awaitable[Sealed]]


@pytest.fixture
def seal(database_kind: DatabaseKind, empty_database_url: str, tmp_path: Path, clock: HandClock) -> Seal:
    """Seals whatever can be sealed of the log."""
    if database_kind == "postgresql":
        return lambda: upkeep.seal_database(empty_database_url, lambda _: None)
    return lambda: asyncio.to_thread(sealing.seal_folder, tmp_path / "telemetry", clock.ms)


def history(device_id: int) -> list[Message]:
    """Three days of a message every three minutes: a number, integers for a while, a switch now and then, a gap."""
    chance = random.Random(device_id)
    messages = []
    for number in range(3 * 480):
        at = NOW - 3 * DAY + number * 3 * MINUTE + chance.randrange(MINUTE)
        if 500 < number < 700:
            continue
        values: dict[str, Value] = {"temp_c": round(20 + chance.gauss(0, 3), 2)}
        if number < 300:
            values["count"] = number
        if chance.random() < 0.1:
            values["switch"] = chance.random() < 0.5
        units = {"temp_c": "°C"} if number % 7 == 0 else None
        messages.append(Message(at, NOW, None, values, msgspec.json.encode(values), units))
    return messages


async def answers(analyst: Analyst) -> dict[str, Any]:
    """Something of everything that can be asked."""
    hours = BucketQuestion(FixedBuckets(60 * MINUTE), AGGREGATES)
    days = BucketQuestion(CalendarBuckets("d", 1, ZoneInfo("Europe/Berlin")), ("avg", "min", "max", "last"), "linear")
    edges = FixedBuckets(2 * 60 * MINUTE).edges(SPAN.since, SPAN.until - 1)
    coverage = await analyst.coverage([1, 2, 3], SPAN, edges, [])
    return {
        "hours": await analyst.buckets([1], SPAN, hours, []),
        "days": await analyst.buckets([1, 2], Span(), days, ["temp_c", "switch"]),
        "fleet": await analyst.buckets([1, 2, 3], SPAN, days, [], group_of=lambda _: "all"),
        "statistics": await analyst.statistics(1, Span(), []),
        "points": await analyst.thinned(1, SPAN, 50, []),
        "latest": await analyst.latest(1),
        "newest": await analyst.newest(1, Span(), 900, []),
        "silent": await analyst.newest(1, Span(), 5, ["count"]),
        "coverage": (coverage.by_device, [coverage.gaps(device_id, 9) for device_id in (1, 2, 3)]),
    }


def approximately(answer: Any) -> Any:
    """Sums that were added up in another order differ in their last digits."""
    if isinstance(answer, float):
        return pytest.approx(answer, rel=1e-9, abs=1e-9)
    if isinstance(answer, dict):
        return {key: approximately(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [approximately(value) for value in answer]
    return answer


def plainly(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {key: plainly(value) for key, value in answer.items()}
    return [plainly(value) for value in answer] if isinstance(answer, (list, tuple)) else answer


async def test_sealing_changes_no_answer(log: Log, clock: HandClock, seal: Seal) -> None:
    sent = 0
    for device_id in (1, 2):
        messages = history(device_id)
        for begin in range(0, len(messages), 100):
            part = messages[begin : begin + 100]
            await log.append([device_id] * len(part), part)
            sent += len(part)
    before = await answers(Analyst(log, clock))
    assert len(before["hours"]) > 100
    sealed = 0

    async def most_is_sealed() -> bool:
        nonlocal sealed
        sealed += (await seal()).messages
        return sealed >= sent - 400

    # On SQLite a slice is sealed once its index is there, which comes by itself.
    await until(most_is_sealed)
    after = await answers(Analyst(log, clock))
    for name, answer in before.items():
        assert plainly(after[name]) == approximately(answer), name
