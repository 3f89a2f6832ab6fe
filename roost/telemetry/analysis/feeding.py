"""Leads the pieces of any number of devices through a calculation that runs in threads, never on the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import cast

from roost.telemetry.analysis.accumulation import Piece
from roost.telemetry.frames import Frame
from roost.telemetry.log import Log
from roost.telemetry.spans import Span

# What is calculated with at once: enough that changing threads costs little beside it.
BATCH_ROWS = 65_536
BATCH_PIECES = 256

Fold = Callable[[Piece], None]


async def feed(
    log: Log, device_ids: Iterable[int], span: Span, fold: Fold, *,
    keys: Sequence[str] = (), whole: Callable[[int, int], bool] | None = None,
) -> None:  # fmt: skip
    """Calls `fold` with every piece of every device: device by device, oldest first, while the next are being read.

    A call that is cancelled ends after the pieces under way. Raises LogUnavailable, and what `fold` raises.
    """
    calculating = _Calculating(fold)
    try:
        for device_id in device_ids:
            pieces = log.pieces(device_id, span.since, span.until, keys=keys, whole=whole)
            # What a store holds for its reader is given back at once, also when `fold` refuses.
            async with aclosing(cast("AsyncGenerator[Piece]", pieces)):
                async for piece in pieces:
                    await calculating.take(piece)
        await calculating.finish()
    finally:
        calculating.give_up()


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
