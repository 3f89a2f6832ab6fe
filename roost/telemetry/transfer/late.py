"""Which months older than the archive's end have got messages since it was written.

What arrives has a higher id than all before it, wherever it stands: so nothing has to be noted when it comes, and
nothing is forgotten when a process is killed.
"""

import importlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.file import Meta
from roost.telemetry.transfer.months import Month

DAY_MS = 24 * 3600 * 1000


class Late(NamedTuple):
    """By device the months that were touched; nothing with an id up to `last_id` was overlooked."""

    last_id: int
    months: dict[int, set[Month]]


def late_in_folder(folder: Path, after_id: int, before_ms: int) -> Late:
    """What arrived after this id and was observed before this moment, on SQLite; also while a hub is writing.

    Raises OSError, apsw.Error, LogUnavailable.
    """
    found = Late(_last_id(folder), {})
    # First the slices, then the blocks: what is sealed in between is found by the second step.
    for path in sorted(folder.glob("head_*.db")):
        try:
            head = slices.connect(path)
        except apsw.CantOpenError:
            continue  # sealed just now
        with closing(head):
            if head.pragma("user_version"):
                days = head.execute(
                    f"SELECT DISTINCT device_id, observed_at / {DAY_MS} FROM head WHERE id > ? AND observed_at < ?",  # noqa: S608
                    (after_id, before_ms),
                )
                for device_id, day in days:
                    note(found, device_id, [day * DAY_MS])
    blocks = file.connect(folder)
    if blocks is not None:
        with closing(blocks), file.snapshot(blocks):
            for table in ("block", "event_block"):
                condition = f"last_id > ?1 AND start_at < {int(before_ms)}"
                for meta in file.blocks_where(blocks, table, condition, after_id, -1):
                    note(found, meta.device_id, _moments(blocks, table, meta, after_id, before_ms))
    return found


def _last_id(folder: Path) -> int:
    for path in sorted(folder.glob("head_*.db"), reverse=True):
        try:
            head = slices.connect(path)
        except apsw.CantOpenError:
            continue
        with closing(head):
            if head.pragma("user_version"):
                last_id = head.execute("SELECT coalesce((SELECT max(id) FROM head), first_id - 1) FROM slice").get
                return int(last_id)
    return 0


def _moments(blocks: apsw.Connection, table: str, meta: Meta, after_id: int, before_ms: int) -> Iterable[int]:
    """A moment of each month in which a block has something that is late."""
    if Month.of(meta.start) == Month.of(meta.end) and meta.end < before_ms:
        return [meta.start]
    # Blocks of several months are few; numpy is loaded only for these.
    reads: Any = importlib.import_module("roost.telemetry.blocks.reads")
    if table == "event_block":
        rows = reads.read_events(blocks, meta)
        return [row.observed_at for row in rows if row.id > after_id and row.observed_at < before_ms]
    stretch = reads.read_block(blocks, meta)
    late = stretch.times[(stretch.ids > after_id) & (stretch.times < before_ms)]
    return {day * DAY_MS for day in (late // DAY_MS).tolist()}


def note(found: Late, device_id: int, moments: Iterable[int]) -> None:
    """Of a device something is late at these moments (ms)."""
    found.months.setdefault(device_id, set()).update(map(Month.of, moments))
