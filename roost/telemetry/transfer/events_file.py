"""Events across devices as one file, piece by piece: the newest arrival first, as they are listed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from roost.telemetry.log import MessageFilter
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.event_formats import EVENT_ENCODERS
from roost.telemetry.transfer.wanted import Events

EVENTS_AT_ONCE = 2_000


async def events_file(
    store: TelemetryStore, uids: Mapping[int, str], wanted: Events, turn: asyncio.Semaphore
) -> AsyncGenerator[bytes, None]:
    """The bytes of the file; `uids` has the devices by id. Raises LogUnavailable: the file ends there, not whole."""
    encoder = EVENT_ENCODERS[wanted.format]()
    held = encoder.start()
    before_id, left = wanted.before_id, wanted.max_rows
    device_ids = sorted(uids)
    while left is None or left:
        asked = EVENTS_AT_ONCE if left is None else min(left, EVENTS_AT_ONCE)
        condition = MessageFilter(before_id, wanted.since, wanted.until, wanted.event_type, events_only=True)
        rows = await store.recent(device_ids, asked, condition) if device_ids else []
        if rows:
            async with turn:
                yield held + await asyncio.to_thread(encoder.add, uids, rows)
            held, before_id = b"", rows[-1].id
            left = None if left is None else left - len(rows)
        if len(rows) < asked:
            break
    yield held + await asyncio.to_thread(encoder.finish)
