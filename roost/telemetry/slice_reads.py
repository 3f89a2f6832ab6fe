"""Reading messages back from slices, in threads of their own so that a long look never holds up an append."""

import asyncio
import json
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from roost.telemetry import slices
from roost.telemetry.log import LogUnavailable, MessageFilter, Row

T = TypeVar("T")

CONNECTIONS = 32
_SELECT = "SELECT h.id, h.device_id, h.observed_at, h.received_at, h.event_type, h.payload, h.units, h.message_id FROM"


class SliceReader:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "telemetry-read")
        self._local = threading.local()
        self._all: list[apsw.Connection] = []

    async def recent(
        self, parts: Sequence[slices.Slice], device_ids: Sequence[int], limit: int, wanted: MessageFilter
    ) -> list[Row]:
        return await self._run(self._recent, parts, device_ids, limit, wanted)

    async def between(
        self, parts: Sequence[slices.Slice], device_id: int, since: int, until: int, limit: int
    ) -> list[Row]:
        """Messages of the time span by time and arrival, at most `limit` of the newest."""
        found = await self._run(self._between, parts, device_id, (since, until), limit, "DESC")
        return found[-limit:]

    async def earliest(
        self, parts: Sequence[slices.Slice], device_id: int, since: int, until: int, limit: int
    ) -> list[Row]:
        """The same with the oldest."""
        found = await self._run(self._between, parts, device_id, (since, until), limit, "ASC")
        return found[:limit]

    async def find(self, parts: Sequence[slices.Slice], row_id: int) -> Row | None:
        return await self._run(self._find, parts, row_id)

    def close(self) -> None:
        self._threads.shutdown()
        for connection in self._all:
            connection.close()

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except (apsw.Error, OSError) as error:
            raise LogUnavailable(str(error)) from error

    # On a reader thread from here on.

    def _connection(self, path: Path) -> apsw.Connection | None:
        """A connection of this thread to a slice; None when the slice was pruned."""
        cache: OrderedDict[Path, apsw.Connection] | None = getattr(self._local, "connections", None)
        if cache is None:
            cache = self._local.connections = OrderedDict()
        if not path.exists():
            gone = cache.pop(path, None)
            if gone is not None:
                gone.close()
            return None
        connection = cache.get(path)
        if connection is None:
            connection = cache[path] = slices.connect(path)
            self._all.append(connection)
            if len(cache) > CONNECTIONS:
                cache.popitem(last=False)[1].close()
        cache.move_to_end(path)
        return connection

    def _recent(
        self, parts: Sequence[slices.Slice], device_ids: Sequence[int], limit: int, wanted: MessageFilter
    ) -> list[Row]:
        found: list[Row] = []
        for part in reversed(parts):
            connection = self._connection(part.path)
            if connection is None:
                continue
            opened, left = part.open, limit - len(found)
            if opened is None:
                found += _recent_closed(connection, device_ids, left, wanted)
            else:
                found += _recent_open(connection, _rows_of(opened, device_ids, wanted.before_id), left, wanted)
            if len(found) >= limit:
                break
        return found

    def _between(
        self, parts: Sequence[slices.Slice], device_id: int, span: tuple[int, int], limit: int, order: str
    ) -> list[Row]:
        """Of each slice the first `limit` messages in this order, all of them by time and arrival."""
        since, until = span
        found: list[Row] = []
        for part in parts:
            opened = part.open
            if opened is None and (part.last_observed_at < since or part.first_observed_at >= until):
                continue
            connection = self._connection(part.path)
            if connection is None:
                continue
            tail = f"h.observed_at >= ? AND h.observed_at < ? ORDER BY h.observed_at {order}, h.id {order} LIMIT ?"
            if opened is None:
                sql, who = f"{_SELECT} head h WHERE h.device_id = ? AND {tail}", str(device_id)
            else:
                sql = f"{_SELECT} json_each(?) j JOIN head h ON h.id = j.value WHERE {tail}"
                who = _as_json(opened.rows_of(device_id))
            found += slices.as_rows(connection.execute(sql, (who, since, until, limit)))
        found.sort(key=lambda row: (row.observed_at, row.id))
        return found

    def _find(self, parts: Sequence[slices.Slice], row_id: int) -> Row | None:
        for part in reversed(parts):
            connection = self._connection(part.path)
            if connection is None:
                continue
            rows = slices.as_rows(connection.execute(f"{_SELECT} head h WHERE h.id = ?", (row_id,)))
            if rows:
                return rows[0]
        return None


def _where(wanted: MessageFilter) -> tuple[str, list[object]]:
    conditions = wanted.conditions()
    parts = [f"h.{condition} ?" for condition, _ in conditions]
    if wanted.events_only:
        parts.append("h.event_type IS NOT NULL")
    return " AND ".join(parts) or "1", [value for _, value in conditions]


def _recent_closed(
    connection: apsw.Connection, device_ids: Sequence[int], limit: int, wanted: MessageFilter
) -> list[Row]:
    where, values = _where(wanted)
    sql = f"{_SELECT} head h WHERE h.device_id IN (SELECT value FROM json_each(?)) AND {where}"  # noqa: S608 - own words
    cursor = connection.execute(f"{sql} ORDER BY h.id DESC LIMIT ?", (_as_json(device_ids), *values, limit))
    return slices.as_rows(cursor)


def _rows_of(opened: slices.OpenSlice, device_ids: Sequence[int], before_id: int | None) -> list[int]:
    ids = sorted(row_id for device_id in device_ids for row_id in opened.rows_of(device_id))
    return ids if before_id is None else ids[: bisect_left(ids, before_id)]


def _recent_open(connection: apsw.Connection, ids: list[int], limit: int, wanted: MessageFilter) -> list[Row]:
    """Looks through rows from the newest on, a stretch at a time, until there are enough."""
    where, values = _where(wanted)
    sql = f"{_SELECT} json_each(?) j JOIN head h ON h.id = j.value WHERE {where} ORDER BY h.id DESC LIMIT ?"
    found: list[Row] = []
    stretch = max(limit, 200)
    while ids and len(found) < limit:
        left = limit - len(found)
        found += slices.as_rows(connection.execute(sql, (_as_json(ids[-stretch:]), *values, left)))
        del ids[-stretch:]
        stretch *= 4
    return found


def _as_json(numbers: Sequence[int]) -> str:
    return json.dumps(list(numbers))
