"""Reading telemetry back: messages by arrival, readings, the latest value of every series, and what became of them.

What needs columns is answered by the analyst, who is loaded, with numpy, when the first question comes.
"""

import asyncio
import importlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from roost.core.clock import Clock
from roost.telemetry.log import ANY, Log, MessageFilter, Row, has_own_time, mark_of, without_resends
from roost.telemetry.messages import Committed, Reading, Value
from roost.telemetry.patience import Patience

if TYPE_CHECKING:
    from roost.telemetry.analysis.analyst import Analyst
    from roost.telemetry.retention.history import History

LATEST_DEVICES = 2_000
AT_ONCE = 4
FLEET_AT_ONCE = 2
# How many messages are looked at in one go while copies are left out.
SCAN_MESSAGES = 20_000
WIDER = 4
STRETCH_GAP_MS = 6 * 3600 * 1000

Latest = dict[str, tuple[int, Value, str | None]]


class TelemetryStore:
    """The log, read. Times in milliseconds since 1970 UTC; raises `LogUnavailable` while the log cannot be read."""

    def __init__(self, log: Log, clock: Clock, history: "History | None" = None) -> None:
        """`history`: where questions about readings go, if not to the log alone."""
        self._log = log
        self._history = history
        self._clock = clock
        self._latest: OrderedDict[int, Latest] = OrderedDict()
        self._loading: dict[int, asyncio.Event] = {}
        self._analyst: Analyst | None = None
        self.patience = Patience(AT_ONCE)
        # Questions about many devices have turns of their own: nobody's own device waits behind them.
        self.fleet_patience = Patience(FLEET_AT_ONCE)

    async def analyst(self) -> "Analyst":
        """Whoever answers questions about history."""
        if self._analyst is None:
            module = await asyncio.to_thread(importlib.import_module, "roost.telemetry.analysis.analyst")
            self._analyst = module.Analyst(self._log, self._clock, self._history)
        return self._analyst

    def note(self, committed: list[Committed]) -> None:
        """Keeps the latest values that somebody asked for up to date; a listener of the ingest path."""
        for device, message in committed:
            latest = self._latest.get(device.device_id)
            if latest is not None:
                _advance(latest, message.observed_at, message.readings, message.units or {})

    async def latest(self, device_id: int) -> list[Reading]:
        """The newest value of each series that the device ever sent, by name."""
        while (loading := self._loading.get(device_id)) is not None:
            await loading.wait()
        latest = self._latest.get(device_id)
        if latest is None:
            latest = await self._load_latest(device_id)
        if device_id in self._latest:
            self._latest.move_to_end(device_id)
        return [Reading(key, value, unit, at) for key, (at, value, unit) in sorted(latest.items())]

    async def _load_latest(self, device_id: int) -> Latest:
        loaded = self._loading[device_id] = asyncio.Event()
        # Noted from now on, so that nothing that arrives while the log is read is missed.
        latest = self._latest[device_id] = {}
        try:
            for reading in await (await self.analyst()).latest(device_id):
                values, units = {reading.sensor_type: reading.value}, {reading.sensor_type: reading.unit}
                _advance(latest, reading.timestamp, values, units, keep_equal=True)
        except BaseException:
            self._latest.pop(device_id, None)
            raise
        finally:
            del self._loading[device_id]
            loaded.set()
        while len(self._latest) > LATEST_DEVICES:
            self._latest.popitem(last=False)
        return latest

    def forget(self, device_id: int) -> None:
        self._latest.pop(device_id, None)

    def forget_all(self) -> None:
        """Groups that were stored may not have been noted: read the latest values anew."""
        self._latest.clear()

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter = ANY) -> list[Row]:
        """The newest messages of these devices, by arrival; of copies the newest one, whichever page it is on."""
        kept: list[Row] = []
        asked, rest = limit, wanted
        while True:
            rows = await self._log.recent(device_ids, asked, rest)
            kept = without_resends([*kept, *await self._not_shown_before(rows, wanted.before_id)])
            if len(kept) >= limit or len(rows) < asked:
                return kept[:limit]
            rest = replace(wanted, before_id=rows[-1].id)
            asked = max(limit, min(asked * WIDER, SCAN_MESSAGES))

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
            async for row in self._every(device_id, since, until)
            if row.id >= before_id
        }
        return [row for row in rows if not has_own_time(row) or mark_of(row) not in shown] if shown else rows

    async def _every(self, device_id: int, since: int, until: int) -> AsyncIterator[Row]:
        """All messages of a time span, some of them twice, in bounded memory."""
        while True:
            rows = await self._log.between(device_id, since, until, SCAN_MESSAGES)
            for row in rows:
                yield row
            if len(rows) < SCAN_MESSAGES:
                return
            # The oldest moment may have more. Of one that fills a look by itself the newest arrivals were seen: enough.
            oldest = rows[0].observed_at
            until = oldest + 1 if oldest + 1 < until else oldest

    async def find(self, message_id: int) -> Row | None:
        return await self._log.find(message_id)

    async def delete_device(self, device_id: int) -> None:
        self.forget(device_id)
        await self._log.delete_device(device_id)

    async def prune(self, before: int) -> int:
        self._latest.clear()
        return await self._log.prune(before)

    async def size(self) -> tuple[int, int]:
        return await self._log.size()


def _stretches(moments: list[int]) -> list[tuple[int, int]]:
    """Spans (from, to) in ms that hold all moments but no long time without any: late data is far from the rest."""
    spans: list[tuple[int, int]] = []
    for moment in sorted(moments):
        if spans and moment - spans[-1][1] < STRETCH_GAP_MS:
            spans[-1] = (spans[-1][0], moment + 1)
        else:
            spans.append((moment, moment + 1))
    return spans


def _advance(
    latest: Latest, at: int, readings: Mapping[str, Value], units: Mapping[str, str | None], *, keep_equal: bool = False
) -> None:
    for key, value in readings.items():
        known = latest.get(key)
        if known is None or at > known[0] or (at == known[0] and not keep_equal):
            unit = units.get(key)
            latest[key] = (at, value, unit if unit is not None else known and known[2])
