"""Reading telemetry back: raw readings, the latest value of every series, statistics, time buckets."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from roost.telemetry.aggregates import AGGREGATES, bucket_rows, statistics
from roost.telemetry.log import ANY, Log, MessageFilter, Row, has_own_time, mark_of, without_resends
from roost.telemetry.messages import Committed, Reading, Value

LATEST_DEVICES = 2_000
LATEST_LOOKBACK = 20_000
SCAN_MESSAGES = 200_000
WIDER = 4
STRETCH_GAP_MS = 6 * 3600 * 1000

FOREVER_MS = 2**62

Latest = dict[str, tuple[int, Value, str | None]]


class Span(NamedTuple):
    """`since` <= observed_at < `until`, in milliseconds since 1970 UTC."""

    since: int = 0
    until: int = FOREVER_MS


class TelemetryStore:
    """The log, read. Times in milliseconds since 1970 UTC; raises `LogUnavailable` while the log cannot be read."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._latest: OrderedDict[int, Latest] = OrderedDict()

    def note(self, committed: list[Committed]) -> None:
        """Keeps the latest values that somebody asked for up to date; a listener of the ingest path."""
        for device, message in committed:
            latest = self._latest.get(device.device_id)
            if latest is not None:
                _advance(latest, message.observed_at, message.readings, message.units or {})

    async def latest(self, device_id: int) -> list[Reading]:
        """The newest value of each series, by name; a series that was silent for 20,000 messages is left out."""
        latest = self._latest.get(device_id)
        if latest is None:
            # Noted from now on, so that nothing that arrives while the log is read is missed.
            latest = self._latest[device_id] = {}
            try:
                rows = await self._log.recent([device_id], LATEST_LOOKBACK, ANY)
            except BaseException:
                self._latest.pop(device_id, None)
                raise
            for key, (at, value, unit) in (await asyncio.to_thread(_newest, rows)).items():
                _advance(latest, at, {key: value}, {key: unit} if unit is not None else {}, keep_equal=True)
            while len(self._latest) > LATEST_DEVICES:
                self._latest.popitem(last=False)
        self._latest.move_to_end(device_id)
        return [Reading(key, value, unit, at) for key, (at, value, unit) in sorted(latest.items())]

    def forget(self, device_id: int) -> None:
        self._latest.pop(device_id, None)

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter = ANY) -> list[Row]:
        """The newest messages of these devices, by arrival; of copies the newest one, whichever page it is on."""
        kept: list[Row] = []
        scanned, asked = 0, limit
        rest = wanted
        while True:
            rows = await self._log.recent(device_ids, asked, rest)
            scanned += len(rows)
            kept = without_resends([*kept, *await self._not_shown_before(rows, wanted.before_id)])
            if len(kept) >= limit or len(rows) < asked or scanned >= SCAN_MESSAGES:
                return kept[:limit]
            rest = replace(wanted, before_id=rows[-1].id)
            asked *= WIDER

    async def _not_shown_before(self, rows: list[Row], before_id: int | None) -> list[Row]:
        """`rows` without those of which an earlier page, with ids from `before_id` on, has shown a copy."""
        if before_id is None:
            return rows
        moments: dict[int, list[int]] = {}
        for row in rows:
            if has_own_time(row):
                moments.setdefault(row.device_id, []).append(row.observed_at)
        shown = {
            mark_of(row)
            for device_id, times in moments.items()
            for since, until in _stretches(times)
            for row in await self._log.between(device_id, since, until, SCAN_MESSAGES)
            if row.id >= before_id
        }
        return [row for row in rows if not has_own_time(row) or mark_of(row) not in shown] if shown else rows

    async def find(self, message_id: int) -> Row | None:
        return await self._log.find(message_id)

    async def readings(self, device_id: int, span: Span, limit: int, keys: Sequence[str] = ()) -> list[Reading]:
        """The newest `limit` readings of the time span, newest first."""
        asked = limit
        while True:
            rows = await self._log.between(device_id, span.since, span.until, min(asked, SCAN_MESSAGES))
            found = _once([reading for row in reversed(rows) for reading in _readings(row, keys)])
            # Resends and other series take places too: look further back until there is enough.
            if len(found) >= limit or len(rows) < asked or asked >= SCAN_MESSAGES:
                return found[:limit]
            asked *= WIDER

    async def buckets(
        self, device_id: int, span: Span, width_ms: int, aggregates: Sequence[str], keys: Sequence[str] = ()
    ) -> tuple[list[dict[str, Any]], bool]:
        """Aggregates per series and bucket, oldest first; True when older messages did not fit into the scan."""
        rows, truncated = await self._scan(device_id, span)
        return await asyncio.to_thread(bucket_rows, rows, width_ms, aggregates, frozenset(keys)), truncated

    async def stats(self, device_id: int, span: Span, keys: Sequence[str] = ()) -> tuple[list[dict[str, Any]], bool]:
        """Count, min, max, average, sum, first and last of each series in the time span; True as for buckets."""
        rows, truncated = await self._scan(device_id, span)
        return await asyncio.to_thread(statistics, rows, frozenset(keys)), truncated

    async def delete_device(self, device_id: int) -> None:
        self.forget(device_id)
        await self._log.delete_device(device_id)

    async def prune(self, before: int) -> int:
        self._latest.clear()
        return await self._log.prune(before)

    async def size(self) -> tuple[int, int]:
        return await self._log.size()

    async def _scan(self, device_id: int, span: Span) -> tuple[list[Row], bool]:
        rows = await self._log.between(device_id, span.since, span.until, SCAN_MESSAGES)
        return without_resends(rows), len(rows) >= SCAN_MESSAGES


def _stretches(moments: list[int]) -> list[tuple[int, int]]:
    """Spans (from, to) in ms that hold all moments but no long time without any: late data is far from the rest."""
    spans: list[tuple[int, int]] = []
    for moment in sorted(moments):
        if spans and moment - spans[-1][1] < STRETCH_GAP_MS:
            spans[-1] = (spans[-1][0], moment + 1)
        else:
            spans.append((moment, moment + 1))
    return spans


def _newest(rows: Sequence[Row]) -> Latest:
    """The newest value of each series in `rows`, which come newest arrival first."""
    latest: Latest = {}
    for row in rows:
        _advance(latest, row.observed_at, row.readings(), row.units_by_key(), keep_equal=True)
    return latest


def _advance(
    latest: Latest, at: int, readings: dict[str, Value], units: dict[str, str], *, keep_equal: bool = False
) -> None:
    for key, value in readings.items():
        known = latest.get(key)
        if known is None or at > known[0] or (at == known[0] and not keep_equal):
            unit = units.get(key)
            latest[key] = (at, value, unit if unit is not None else known and known[2])


def _readings(row: Row, keys: Sequence[str]) -> list[Reading]:
    values, units = row.readings(), row.units_by_key()
    return [
        Reading(key, value, units.get(key), row.observed_at) for key, value in values.items() if not keys or key in keys
    ]


def _once(readings: list[Reading]) -> list[Reading]:
    """The same value of the same series at the same moment is one reading, however often and with whatever it came."""
    seen: set[tuple[str, int, Value]] = set()
    kept = []
    for reading in readings:
        mark = (reading.sensor_type, reading.timestamp, reading.value)
        if mark not in seen:
            seen.add(mark)
            kept.append(reading)
    return kept


__all__ = ["AGGREGATES", "TelemetryStore"]
