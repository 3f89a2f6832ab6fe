"""Events of a month, of the log and of the archive as one: the newest arrival first, as they are listed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roost.telemetry.log import MessageFilter, Row, has_own_time, mark_of
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.months import Month

EVENTS_AT_ONCE = 2_000

Page = list[Row]


async def events_of_month(
    store: TelemetryStore, uids: Mapping[int, str], month: Month, archived: Path | None
) -> AsyncGenerator[Page, None]:
    """Pages of what the log has of these devices, and the file; an event that both have comes once.

    Raises LogUnavailable.
    """
    old = _Ahead(_in_file(archived))
    seen: set[int] = set()
    async for page in _in_log(store, sorted(uids), month):
        seen.update(_mark(row) for row in page)
        # What is in between by its arrival has gone from the log since.
        found = [*page, *[row async for row in old.down_to(page[-1].id) if _mark(row) not in seen]]
        yield sorted(found, key=lambda row: -row.id)
    rest: Page = []
    async for row in old.down_to(0):
        if _mark(row) not in seen:
            rest.append(row)
        if len(rest) == EVENTS_AT_ONCE:
            yield rest
            rest = []
    if rest:
        yield rest


class _Ahead:
    """Rows that are taken as far as an id."""

    def __init__(self, rows: AsyncIterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = None

    async def down_to(self, row_id: int) -> AsyncIterator[Row]:
        """Those with ids from this one on that were not taken yet."""
        while True:
            if self._next is None:
                self._next = await anext(self._rows, None)
            if self._next is None or self._next.id < row_id:
                return
            row, self._next = self._next, None
            yield row


async def _in_log(store: TelemetryStore, device_ids: list[int], month: Month) -> AsyncIterator[Page]:
    before_id = None
    while device_ids:
        wanted = MessageFilter(before_id, month.start_ms, month.end_ms, None, events_only=True)
        rows = await store.recent(device_ids, EVENTS_AT_ONCE, wanted)
        if rows:
            yield rows
        if len(rows) < EVENTS_AT_ONCE:
            return
        before_id = rows[-1].id


async def _in_file(path: Path | None) -> AsyncIterator[Row]:
    if path is None:
        return
    batches = pq.ParquetFile(path).iter_batches(EVENTS_AT_ONCE)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        times = [batch.column(name).cast(pa.int64()).to_pylist() for name in ("time", "received_at")]
        names = ("id", "device_id", "event_type", "payload", "message_id")
        texts = [batch.column(name).to_pylist() for name in names]
        for number, device_id, event_type, payload, message_id, at, received_at in zip(*texts, *times, strict=True):
            yield Row(number, device_id, at, received_at, event_type, payload.encode(), None, message_id)


def _mark(row: Row) -> int:
    """The same for an event and its copies."""
    return hash(mark_of(row)) if has_own_time(row) else row.id
