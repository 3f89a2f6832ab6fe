"""Lists of messages, newest arrival first, without copies; the latest values while much else goes on."""

import asyncio

import pytest

from roost.telemetry import queries
from roost.telemetry.log import Log, MessageFilter
from roost.telemetry.messages import Committed, Message
from roost.telemetry.queries import TelemetryStore
from tests.telemetry.conftest import NOW, HandClock, identity


def message(value: int, at: int = NOW - 5) -> Message:
    return Message(at, NOW, None, {"v": value}, b'{"v":%d}' % value)


async def pages(store: TelemetryStore, limit: int) -> list[object]:
    """All values, page by page."""
    found: list[object] = []
    before_id = None
    while rows := await store.recent([1], limit, MessageFilter(before_id=before_id)):
        found += [row.readings()["v"] for row in rows]
        before_id = rows[-1].id
    return found


@pytest.mark.parametrize("limit", [1, 3])
async def test_however_often_a_message_came_it_neither_repeats_nor_ends_a_list(
    log: Log, clock: HandClock, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(queries, "SCAN_MESSAGES", 4)
    sent = [message(1, NOW - 9), message(2), *[message(3)] * 40, message(4), *[message(5, NOW - 7)] * 15, message(3)]
    for one in sent:
        await log.append([1], [Message(one.observed_at, NOW, None, one.readings, one.payload)])
    assert await pages(TelemetryStore(log, clock), limit) == [3, 5, 4, 2, 1]


async def test_who_asks_for_the_latest_while_it_is_being_read_gets_all_of_it(log: Log, clock: HandClock) -> None:
    await log.append([1], [Message(NOW, NOW, None, {"a": 1, "b": 2}, b'{"a":1,"b":2}')])
    store = TelemetryStore(log, clock)
    first = asyncio.create_task(store.latest(1))
    await asyncio.sleep(0)
    store.note([Committed(identity(1), Message(NOW + 1, NOW, None, {"a": 3}, b'{"a":3}'))])
    second = await store.latest(1)
    assert [(reading.sensor_type, reading.value) for reading in second] == [("a", 3), ("b", 2)]
    assert await first == second


async def test_a_cancelled_question_for_the_latest_leaves_it_to_the_next(log: Log, clock: HandClock) -> None:
    await log.append([1], [message(1)])
    store = TelemetryStore(log, clock)
    first = asyncio.create_task(store.latest(1))
    await asyncio.sleep(0)
    second = asyncio.create_task(store.latest(1))
    await asyncio.sleep(0)
    first.cancel()
    assert [reading.value for reading in await second] == [1]
