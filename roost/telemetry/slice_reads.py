"""Reading messages back, in threads of their own so that a long look never holds up an append.

Slices and blocks are read as one: first a snapshot of the blocks, which say whose messages of a slice they hold, then
the slices but for these. A slice that has vanished in between was sealed or pruned, so everything is read again.
"""

import asyncio
import importlib
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.log import CoarseRow, LogUnavailable, MessageFilter, Row
from roost.telemetry.retention import coarse_file
from roost.telemetry.slice_view import SELECT, Head, View, as_json, head_rows

if TYPE_CHECKING:
    from types import ModuleType

    from roost.telemetry.blocks.pieces import Place
    from roost.telemetry.frames import Frame, Summary

T = TypeVar("T")

THREADS = 2
CONNECTIONS = 32


class SliceReader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, "telemetry-read")
        self._local = threading.local()
        self._all: list[apsw.Connection] = []
        self._removals = 0

    async def recent(
        self, parts: Sequence[slices.Slice], device_ids: Sequence[int], limit: int, wanted: MessageFilter
    ) -> list[Row]:
        return await self._run(self._recent, parts, device_ids, limit, wanted)

    async def between(
        self, parts: Sequence[slices.Slice], device_id: int, since: int, until: int, limit: int
    ) -> list[Row]:
        """Messages of the time span by time and arrival, at most `limit` of the newest."""
        return await self._run(self._between, parts, device_id, (since, until), limit)

    async def batch(
        self,
        parts: Sequence[slices.Slice],
        device_ids: Sequence[int],
        place: "Place | None",
        span: tuple[int, int],
        *,
        keys: Sequence[str],
        whole: Callable[[int, int], bool] | None,
    ) -> "tuple[list[Frame | Summary], Place | None]":
        """The first pieces of these devices from `place` on (None: from the beginning), and where to go on."""
        return await self._run(partial(self._batch, keys=keys, whole=whole), parts, device_ids, place, span)

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        """What stays of older readings as buckets."""
        return await self._run(_coarse, device_id, (since, until), limit)

    async def find(self, parts: Sequence[slices.Slice], row_id: int) -> Row | None:
        return await self._run(self._find, parts, row_id)

    def let_go(self) -> None:
        """Files of slices have been removed: closes them, on each thread before it reads again."""
        self._removals += 1
        for _ in range(THREADS):
            self._threads.submit(self._close_removed)

    def close(self) -> None:
        self._threads.shutdown()
        for connection in self._all:
            connection.close()

    async def _run(self, work: "Callable[..., T]", *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._as_one, work, arguments)
        except (apsw.Error, OSError) as error:
            raise LogUnavailable(str(error)) from error

    # On a reader thread from here on.

    def _as_one(self, work: Callable[..., T], arguments: Sequence[object]) -> T:
        self._close_removed()
        gone: set[Path] = set()
        while True:
            blocks = self._blocks()
            with nullcontext() if blocks is None else file.snapshot(blocks):
                view = View(self._connection, blocks)
                found = work(view, *arguments)
            if view.missing <= gone:
                return found
            gone |= view.missing

    def _blocks(self) -> apsw.Connection | None:
        blocks: apsw.Connection | None = getattr(self._local, "blocks", None)
        if blocks is None:
            blocks = self._local.blocks = file.connect(self._folder)
            if blocks is not None:
                self._all.append(blocks)
        return blocks

    def _cache(self) -> OrderedDict[Path, apsw.Connection]:
        cache: OrderedDict[Path, apsw.Connection] | None = getattr(self._local, "connections", None)
        if cache is None:
            cache = self._local.connections = OrderedDict()
        return cache

    def _close_removed(self) -> None:
        if getattr(self._local, "removals", 0) == self._removals:
            return
        self._local.removals = self._removals
        cache = self._cache()
        for path in [path for path in cache if not path.exists()]:
            cache.pop(path).close()

    def _connection(self, path: Path) -> apsw.Connection | None:
        """A connection of this thread to a slice; None when its file is gone."""
        cache = self._cache()
        if not path.exists():
            gone = cache.pop(path, None)
            if gone is not None:
                gone.close()
            return None
        connection = cache.get(path)
        if connection is None:
            try:
                connection = cache[path] = slices.connect(path)
            except apsw.CantOpenError:
                return None
            self._all.append(connection)
            if len(cache) > CONNECTIONS:
                cache.popitem(last=False)[1].close()
        cache.move_to_end(path)
        return connection

    def _recent(
        self,
        view: View,
        parts: Sequence[slices.Slice],
        device_ids: Sequence[int],
        limit: int,
        wanted: MessageFilter,
    ) -> list[Row]:
        found: list[Row] = []
        for part in reversed(parts):
            connection = view.open(part)
            left = view.unsealed(part, device_ids)
            if connection is None or not left:
                continue
            opened, room = part.open, limit - len(found)
            if opened is None:
                found += _recent_closed(connection, left, room, wanted)
            else:
                found += _recent_open(connection, _rows_of(opened, left, wanted.before_id), room, wanted)
            if len(found) >= limit:
                break
        above = found[-1].id if len(found) >= limit else -1
        if view.blocks is not None and file.arrived_after(view.blocks, device_ids, above):
            found += _block_reads().recent(view.blocks, device_ids, limit, wanted, above)
            found.sort(key=lambda row: -row.id)
        return found[:limit]

    def _between(
        self, view: View, parts: Sequence[slices.Slice], device_id: int, span: tuple[int, int], limit: int
    ) -> list[Row]:
        found = head_rows(view, parts, device_id, span, limit, newest=True)
        since, until = span
        since = found[-limit].observed_at if len(found) >= limit else since
        if view.blocks is not None and file.reach_into(view.blocks, device_id, since, until):
            found += _block_reads().between(view.blocks, device_id, since, until, limit)
            found.sort(key=_place)
        return found[-limit:]

    def _batch(
        self,
        view: View,
        parts: Sequence[slices.Slice],
        device_ids: Sequence[int],
        place: "Place | None",
        span: tuple[int, int],
        *,
        keys: Sequence[str],
        whole: Callable[[int, int], bool] | None,
    ) -> "tuple[list[Frame | Summary], Place | None]":
        found: tuple[list[Frame | Summary], Place | None]
        found = _block_reads().batch(view.blocks, Head(view, parts), device_ids, place, span, keys=keys, whole=whole)
        return found

    def _find(self, view: View, parts: Sequence[slices.Slice], row_id: int) -> Row | None:
        for part in reversed(parts):
            connection = view.open(part)
            if connection is None:
                continue
            rows = slices.as_rows(connection.execute(f"{SELECT} head h WHERE h.id = ?", (row_id,)))
            if rows:
                return rows[0]
        if view.blocks is None or file.is_empty(view.blocks):
            return None
        found: Row | None = _block_reads().find(view.blocks, row_id)
        return found


def _block_reads() -> "ModuleType":
    """Loaded with the first use: numpy costs a hub that nobody asks for history 30 MB and a tenth of a second."""
    return importlib.import_module("roost.telemetry.blocks.reads")


def _coarse(view: View, device_id: int, span: tuple[int, int], limit: int) -> list[CoarseRow]:
    return [] if view.blocks is None else coarse_file.rows_between(view.blocks, device_id, *span, limit)


def _place(row: Row) -> tuple[int, int]:
    return row.observed_at, row.id


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
    sql = f"{SELECT} head h WHERE h.device_id IN (SELECT value FROM json_each(?)) AND {where}"  # noqa: S608 - own words
    cursor = connection.execute(f"{sql} ORDER BY h.id DESC LIMIT ?", (as_json(device_ids), *values, limit))
    return slices.as_rows(cursor)


def _rows_of(opened: slices.OpenSlice, device_ids: Sequence[int], before_id: int | None) -> list[int]:
    ids = sorted(row_id for device_id in device_ids for row_id in opened.rows_of(device_id))
    return ids if before_id is None else ids[: bisect_left(ids, before_id)]


def _recent_open(connection: apsw.Connection, ids: list[int], limit: int, wanted: MessageFilter) -> list[Row]:
    """Looks through rows from the newest on, a stretch at a time, until there are enough."""
    where, values = _where(wanted)
    sql = f"{SELECT} json_each(?) j JOIN head h ON h.id = j.value WHERE {where} ORDER BY h.id DESC LIMIT ?"
    found: list[Row] = []
    stretch = max(limit, 200)
    while ids and len(found) < limit:
        left = limit - len(found)
        found += slices.as_rows(connection.execute(sql, (as_json(ids[-stretch:]), *values, left)))
        del ids[-stretch:]
        stretch *= 4
    return found
