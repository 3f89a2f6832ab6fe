"""Pieces are led to a calculation in order, and nothing stays open behind it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import cast

import pytest

from roost.telemetry.analysis import feeding
from roost.telemetry.analysis.accumulation import Piece
from roost.telemetry.frames import Frame
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.spans import Span
from tests.telemetry.analysis.frames_by_hand import frame


class Store:
    """Ten pieces of each device, four at a time; what it holds for its readers is counted. `broken`: a device's end."""

    def __init__(self, broken: int | None = None) -> None:
        self.open = 0
        self.read = 0
        self._broken = broken

    async def batches(
        self, device_ids: Sequence[int], since: int, until: int, **_: object
    ) -> AsyncGenerator[list[Frame], None]:
        self.open += 1
        every = [(device_id, number) for device_id in device_ids for number in range(10)]
        try:
            for start in range(0, len(every), 4):
                await asyncio.sleep(0)
                batch = every[start : start + 4]
                if any(device_id == self._broken for device_id, _ in batch):
                    raise LogUnavailable("gone")
                self.read += len(batch)
                yield [frame([(number, {"a": number})], device_id) for device_id, number in batch]
        finally:
            self.open -= 1


async def feed(store: Store, device_ids: range, fold: Callable[[Piece], None]) -> None:
    await feeding.feed(cast("Log", store), device_ids, Span(), feeding.each(fold))


async def test_pieces_come_device_by_device_and_by_time_on_other_threads() -> None:
    came: list[tuple[int, int]] = []
    threads: set[int] = set()

    def fold(piece: Piece) -> None:
        assert isinstance(piece, Frame)
        came.append((piece.device_id, int(piece.times[0])))
        threads.add(threading.get_ident())

    store = Store()
    await feed(store, range(7), fold)
    assert came == [(device_id, number) for device_id in range(7) for number in range(10)]
    assert threading.get_ident() not in threads
    assert store.open == 0


async def test_a_refusal_ends_the_reading_at_once() -> None:
    def refuse(_: Piece) -> None:
        raise ValueError("too many")

    store = Store()
    with pytest.raises(ValueError, match="too many"):
        await feed(store, range(100), refuse)
    assert store.open == 0
    assert store.read < 30


async def test_a_log_that_goes_away_is_told() -> None:
    store = Store(broken=4)
    with pytest.raises(LogUnavailable):
        await feed(store, range(9), lambda _: None)
    assert store.open == 0


async def test_a_cancelled_question_stops_reading() -> None:
    store = Store()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fold(_: Piece) -> None:
        loop.call_soon_threadsafe(begun.set)

    question = asyncio.create_task(feed(store, range(10_000), fold))
    await begun.wait()
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    read = store.read
    await asyncio.sleep(0)
    assert (store.open, store.read) == (0, read)
