"""What the slices of the log hold that is not in the blocks, at one moment: for those who read both as one."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.log import Row

SELECT = "SELECT h.id, h.device_id, h.observed_at, h.received_at, h.event_type, h.payload, h.units, h.message_id FROM"


class View:
    """Slices and blocks at one moment, for one read."""

    def __init__(self, connect: Callable[[Path], apsw.Connection | None], blocks: apsw.Connection | None) -> None:
        """`connect` gives a connection to a slice's file; None when that is gone."""
        self.blocks = blocks
        self.missing: set[Path] = set()
        self._connect = connect
        self._sealed: dict[int, set[int]] = {}

    def open(self, part: slices.Slice) -> apsw.Connection | None:
        connection = self._connect(part.path)
        if connection is None:
            self.missing.add(part.path)
        return connection

    def unsealed(self, part: slices.Slice, device_ids: Sequence[int]) -> Sequence[int]:
        """The devices whose messages of this slice are not in the blocks."""
        if self.blocks is None:
            return device_ids
        sealed = self._sealed.get(part.number)
        if sealed is None:
            sealed = self._sealed[part.number] = file.sealed_devices(self.blocks, part.number)
        return [device_id for device_id in device_ids if device_id not in sealed] if sealed else device_ids


class Head:
    """What the slices hold that is not in the blocks, as `roost.telemetry.blocks.reads` asks for it."""

    def __init__(self, view: View, parts: Sequence[slices.Slice]) -> None:
        self._view = view
        self._parts = parts

    def devices(self, device_ids: Sequence[int], since: int, until: int) -> set[int]:
        """Those of which there may be something in this time (ms)."""
        there: set[int] = set()
        for part in _in_span(self._parts, since, until):
            connection = self._view.open(part)
            left = [each for each in self._view.unsealed(part, device_ids) if each not in there]
            if connection is None or not left:
                continue
            if part.open is not None:
                there |= part.open.owners().intersection(left)
            else:
                cursor = connection.execute(
                    "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM head WHERE device_id = value"
                    " AND observed_at >= ? AND observed_at < ?)",
                    (as_json(left), since, until),
                )
                there.update(row[0] for row in cursor)
        return there

    def rows(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        """By time and arrival, at most so many of the oldest."""
        return head_rows(self._view, self._parts, device_id, (since, until), limit, newest=False)[:limit]


def _in_span(parts: Sequence[slices.Slice], since: int, until: int) -> Iterator[slices.Slice]:
    for part in parts:
        span = part if part.open is None else part.open
        if span.last_observed_at >= since and span.first_observed_at < until:
            yield part


def head_rows(
    view: View, parts: Sequence[slices.Slice], device_id: int, span: tuple[int, int], limit: int, *, newest: bool
) -> list[Row]:
    """Of each slice at most `limit` messages, the newest or the oldest; all of them by time and arrival."""
    order = "DESC" if newest else "ASC"
    since, until = span
    found: list[Row] = []
    for part in _in_span(parts, since, until):
        opened = part.open
        connection = view.open(part)
        if connection is None or not view.unsealed(part, [device_id]):
            continue
        tail = f"h.observed_at >= ? AND h.observed_at < ? ORDER BY h.observed_at {order}, h.id {order} LIMIT ?"
        if opened is None:
            sql, who = f"{SELECT} head h WHERE h.device_id = ? AND {tail}", str(device_id)
        else:
            sql = f"{SELECT} json_each(?) j JOIN head h ON h.id = j.value WHERE {tail}"
            who = as_json(opened.rows_of(device_id))
        found += slices.as_rows(connection.execute(sql, (who, since, until, limit)))
    found.sort(key=_place)
    return found


def _place(row: Row) -> tuple[int, int]:
    return row.observed_at, row.id


def as_json(numbers: Sequence[int]) -> str:
    return json.dumps(list(numbers))
