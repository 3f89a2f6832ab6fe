"""Rows of the log as frames, oldest first, a bounded number of rows at a time."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from roost.telemetry.columns import frame_of
from roost.telemetry.frames import Frame
from roost.telemetry.log import Row

FRAME_ROWS = 65_536

Earliest = Callable[[int, int, int, int], Awaitable[list[Row]]]


async def frames(
    earliest: Earliest, device_id: int, since: int, until: int, keys: Sequence[str] = ()
) -> AsyncIterator[Frame]:
    """Frames of the messages with `since` <= observed_at < `until` (ms), never two with the same moment.

    `earliest(device_id, since, until, limit)` gives the oldest of these messages, by time and arrival. A moment with
    more than 65,536 messages makes a larger frame.
    """
    limit = FRAME_ROWS
    while since < until:
        rows = await earliest(device_id, since, until, limit)
        whole = len(rows) < limit
        if not whole:
            # The last moment may go on beyond what came: it belongs to the next frame.
            last = rows[-1].observed_at
            if rows[0].observed_at == last:
                limit *= 2
                continue
            rows = rows[: bisect_left(rows, last, key=lambda row: row.observed_at)]
            since, limit = last, FRAME_ROWS
        frame = await asyncio.to_thread(frame_of, device_id, rows, keys)
        if len(frame.times):
            yield frame
        if whole:
            return
