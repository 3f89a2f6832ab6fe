"""Leads the pieces of any number of devices through a calculation that runs in threads, never on the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from roost.telemetry.analysis.accumulation import Piece
from roost.telemetry.log import Readable
from roost.telemetry.spans import Span

Fold = Callable[[Sequence[Piece]], None]


async def feed(
    log: Readable, device_ids: Sequence[int], span: Span, fold: Fold, *,
    keys: Sequence[str] = (), whole: Callable[[int, int], bool] | None = None,
) -> None:  # fmt: skip
    """Calls `fold` with the pieces of every device: device by device, oldest first, while the next are being read.

    A call that is cancelled ends after the pieces under way. Raises LogUnavailable, and what `fold` raises.
    """
    calculating: asyncio.Task[None] | None = None
    try:
        async with aclosing(log.batches(device_ids, span.since, span.until, keys=keys, whole=whole)) as batches:
            async for batch in batches:
                if calculating is not None:
                    await calculating
                calculating = asyncio.create_task(asyncio.to_thread(fold, batch)) if batch else None
        if calculating is not None:
            await calculating
    finally:
        # Nobody waits any more for what is under way, not even for its failure.
        if calculating is not None:
            calculating.cancel()


def each(fold: Callable[[Piece], None]) -> Fold:
    """For a calculation that takes one piece after the other."""

    def fold_all(pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            fold(piece)

    return fold_all
