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


async def feed(
    log: Log, device_ids: Iterable[int], span: Span, fold: Callable[[Piece], None], *,
    keys: Sequence[str] = (), whole: Callable[[int, int], bool] | None = None,
) -> None:  # fmt: skip
    """Calls `fold` with every piece of every device: device by device, oldest first.

    A call that is cancelled ends after the piece under way. Raises LogUnavailable, and what `fold` raises.
    """
    batch: list[Piece] = []
    rows = 0
    for device_id in device_ids:
        pieces = log.pieces(device_id, span.since, span.until, keys=keys, whole=whole)
        # What a store holds for its reader is given back at once, also when `fold` refuses.
        async with aclosing(cast("AsyncGenerator[Piece]", pieces)):
            async for piece in pieces:
                batch.append(piece)
                rows += len(piece.times) if isinstance(piece, Frame) else 1
                if rows >= BATCH_ROWS or len(batch) >= BATCH_PIECES:
                    await asyncio.to_thread(_fold_all, fold, batch)
                    batch, rows = [], 0
    if batch:
        await asyncio.to_thread(_fold_all, fold, batch)


def _fold_all(fold: Callable[[Piece], None], batch: list[Piece]) -> None:
    for piece in batch:
        fold(piece)
