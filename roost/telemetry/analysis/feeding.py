"""Leads the pieces of any number of devices through a calculation that runs in threads, never on the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import cast

from roost.telemetry.analysis.accumulation import Piece
from roost.telemetry.frames import Frame
from roost.telemetry.log import Readable
from roost.telemetry.spans import Span

# What is calculated with at once: enough that changing threads costs little beside it.
BATCH_ROWS = 65_536
BATCH_PIECES = 256
# How many devices are read ahead of the one that is being calculated with.
AHEAD = 2

Fold = Callable[[Piece], None]


async def feed(
    log: Readable, device_ids: Iterable[int], span: Span, fold: Fold, *,
    keys: Sequence[str] = (), whole: Callable[[int, int], bool] | None = None,
) -> None:  # fmt: skip
    """Calls `fold` with every piece of every device: device by device, oldest first, while the next are being read.

    A call that is cancelled ends after the pieces under way. Raises LogUnavailable, and what `fold` raises.
    """
    calculating = _Calculating(fold)
    ahead: deque[_Reading] = deque()
    try:
        for device_id in device_ids:
            ahead.append(_Reading(log.pieces(device_id, span.since, span.until, keys=keys, whole=whole)))
            if len(ahead) > AHEAD:
                await ahead[0].into(calculating)
                ahead.popleft()
        while ahead:
            await ahead[0].into(calculating)
            ahead.popleft()
        await calculating.finish()
    finally:
        calculating.give_up()
        for reading in ahead:
            await reading.close()


class _Reading:
    """The pieces of one device, of which the first is being read from now on."""

    def __init__(self, pieces: AsyncIterator[Piece]) -> None:
        self._pieces = cast("AsyncGenerator[Piece]", pieces)
        self._first: asyncio.Task[Piece | None] = asyncio.create_task(self._read_first())

    async def _read_first(self) -> Piece | None:
        return await anext(self._pieces, None)

    async def into(self, calculating: "_Calculating") -> None:
        piece = await self._first
        while piece is not None:
            await calculating.take(piece)
            piece = await anext(self._pieces, None)

    async def close(self) -> None:
        """What a store holds for its reader is given back at once."""
        self._first.cancel()
        await asyncio.gather(self._first, return_exceptions=True)
        await self._pieces.aclose()


class _Calculating:
    """One batch of pieces is gathered while the one before is being calculated with."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._batch: list[Piece] = []
        self._rows = 0
        self._under_way: asyncio.Task[None] | None = None

    async def take(self, piece: Piece) -> None:
        self._batch.append(piece)
        self._rows += len(piece.times) if isinstance(piece, Frame) else 1
        if self._rows >= BATCH_ROWS or len(self._batch) >= BATCH_PIECES:
            await self._hand_over()

    async def finish(self) -> None:
        await self._hand_over()
        if self._under_way is not None:
            await self._under_way

    def give_up(self) -> None:
        """Nobody waits any more for what is under way, not even for its failure."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def _hand_over(self) -> None:
        if self._under_way is not None:
            await self._under_way
        self._under_way = asyncio.create_task(asyncio.to_thread(_fold_all, self._fold, self._batch))
        self._batch, self._rows = [], 0


def _fold_all(fold: Fold, batch: list[Piece]) -> None:
    for piece in batch:
        fold(piece)
