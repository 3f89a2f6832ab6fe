"""Turning closed slices into blocks: device by device, repeatable, and safe to be stopped anywhere.

The blocks of a few devices, and the marks that say so, are one transaction. Once every device of a slice has its mark,
the message ids that are still recognised are put into a small file, and the slice's file is removed.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import events, file
from roost.telemetry.blocks.codec import encode
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.planning import Place, cut, plan, seal_units
from roost.telemetry.blocks.reads import read_block, read_events
from roost.telemetry.blocks.stretch import Stretch, joined
from roost.telemetry.blocks.summaries import encode_summary, summarise
from roost.telemetry.log import LogUnavailable, Row
from roost.telemetry.message_ids import keep_message_ids, remove_old_message_ids

logger = logging.getLogger(__name__)

LOCK_FILE = "seal.lock"
# A transaction takes about this many rows: the next one may wait, and a stop loses little.
UNIT_ROWS = 16_384
# Event blocks below this many events are put together once there are enough of them.
SMALL_EVENTS = events.BLOCK_ROWS // 4
SMALL_RUN = 8


@dataclass(slots=True)
class Sealed:
    """What a run has done; `failed` slices stay as they are and are tried again by the next run."""

    slices: int = 0
    messages: int = 0
    failed: int = 0


class AlreadySealing(Exception):  # noqa: N818 - a state, not an error
    """Another process is sealing this folder."""


def seal_folder(folder: Path, now_ms: int, told: Callable[[str], None] = lambda _: None) -> Sealed:
    """Seals every slice that is no longer written, also while a hub runs; `told` hears a line per slice.

    Raises:
        AlreadySealing: nothing was done.
        OSError, apsw.Error: the disk is full or away; what was sealed so far stays sealed.
    """
    done = Sealed()
    with _alone(folder):
        remove_old_message_ids(folder, now_ms)
        _tidy_up(folder)
        closed = [path for path in sorted(folder.glob("head_*.db"))[:-1] if slices.is_closed(path)]
        if not closed:
            return done
        with closing(file.create(folder)) as blocks:
            for path in closed:
                try:
                    count = seal_slice(blocks, folder, path, now_ms)
                except LogUnavailable as error:
                    done.failed += 1
                    told(f"{path.name} could not be sealed wholly: {error}")
                    continue
                done.slices += 1
                done.messages += count
                told(f"{path.name}: {count:,} messages sealed.")
            file.give_space_back_when_half_is_free(blocks)
    return done


def seal_slice(blocks: apsw.Connection, folder: Path, path: Path, now_ms: int) -> int:
    """Puts a closed slice into the blocks and removes its file; the number of messages that this call took over.

    Raises:
        LogUnavailable: a damaged block is in the way of a device's rows; they stay in the slice, the others are sealed.
    """
    number = slices.slice_number(path)
    failure: LogUnavailable | None = None
    total = 0
    with closing(slices.connect(path)) as head:
        done = file.sealed_devices(blocks, number)
        counts: list[Any] = head.execute("SELECT device_id, count(*) FROM head GROUP BY device_id").fetchall()
        left = [(device_id, count) for device_id, count in counts if device_id not in done]
        for unit in seal_units(left, UNIT_ROWS):
            try:
                total += _seal_unit(blocks, head, path, unit)
            except LogUnavailable as error:
                failure = error
                total += _seal_one_by_one(blocks, head, path, unit)
        if failure is not None:
            raise failure
        keep_message_ids(folder, number, head, now_ms)
    slices.remove(path)
    # A slice that came back with the power while its marks did not would be sealed twice.
    slices.sync_folder(folder)
    with slices.writing(blocks):
        blocks.execute("DELETE FROM sealed WHERE slice = ?", (number,))
    return total


def _seal_one_by_one(blocks: apsw.Connection, head: apsw.Connection, path: Path, unit: Sequence[int]) -> int:
    """What can be sealed of a unit with a device that cannot."""
    total = 0
    for device_id in unit:
        try:
            total += _seal_unit(blocks, head, path, [device_id])
        except LogUnavailable as error:
            logger.warning("device %s stays in %s: %s", device_id, path.name, error)
    return total


def _seal_unit(blocks: apsw.Connection, head: apsw.Connection, path: Path, unit: Sequence[int]) -> int:
    """One transaction. Rows are read inside of it: whoever deletes does so in the slices first, then in the blocks."""
    total = 0
    with slices.writing(blocks):
        if not path.exists():
            return 0  # pruned as a whole: what can still be read must not come back
        for device_id in unit:
            rows = slices.rows_of_device(head, device_id)
            seal_rows(blocks, device_id, rows)
            blocks.execute("INSERT INTO sealed(slice, device_id) VALUES (?, ?)", (slices.slice_number(path), device_id))
            total += len(rows)
    return total


def seal_rows(blocks: apsw.Connection, device_id: int, rows: list[Row]) -> None:
    """Puts messages of a device, by time and arrival, into its blocks, within the caller's transaction."""
    new = Stretch.of(device_id, rows)
    if new.rows:
        _seal_stretch(blocks, new)
    documents = sorted((row for row in rows if row.event_type is not None), key=lambda row: row.id)
    if documents:
        _seal_events(blocks, device_id, documents)


def _seal_stretch(blocks: apsw.Connection, new: Stretch) -> None:
    device_id = new.device_id
    metas = {meta.id: meta for meta in file.blocks_between(blocks, device_id, *_neighbourhood(blocks, new))}
    places = [Place(meta.id, meta.start, meta.end, meta.rows) for meta in metas.values()]
    for rewrite in plan(places, new.times):
        old = [metas[place.id] for place in rewrite.places]
        parts = [new.part(rewrite.first, rewrite.stop), *(read_block(blocks, meta) for meta in old)]
        file.remove(blocks, "block", [meta.id for meta in old])
        for part in cut(joined(parts)):
            insert(blocks, part)


def _neighbourhood(blocks: apsw.Connection, new: Stretch) -> tuple[int, int]:
    """The time in which blocks may be touched: that of the rows, and of the small blocks before them."""
    before = file.blocks_before(blocks, new.device_id, 0, int(new.times[0]))
    start = int(new.times[0])
    for number, meta in enumerate(before):
        start = min(start, meta.start)
        if number >= 2 * SMALL_RUN:
            break
    return start, file.FOREVER


def insert(blocks: apsw.Connection, stretch: Stretch) -> int:
    """A new block, within the caller's transaction; its id."""
    summary = summarise(stretch)
    events_here = 0 if stretch.events is None else int(stretch.events.sum())
    blocks.execute(
        "INSERT INTO block(device_id, start_at, end_at, first_id, last_id, rows, messages, points, summary)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            stretch.device_id, summary.start, summary.end, int(stretch.ids.min()), int(stretch.ids.max()),
            stretch.rows, stretch.rows - events_here, sum(column.count for column in summary.columns.values()),
            encode_summary(summary),
        ),
    )  # fmt: skip
    block_id = blocks.last_insert_rowid()
    blocks.execute("INSERT INTO block_data(id, data) VALUES (?, ?)", (block_id, encode(stretch)))
    return block_id


def _seal_events(blocks: apsw.Connection, device_id: int, rows: list[Row]) -> None:
    small: list[Meta] = []
    for meta in file.by_arrival(blocks, "event_block", device_id, file.FOREVER, (0, file.FOREVER)):
        if meta.rows >= SMALL_EVENTS:
            break
        small.append(meta)
    if len(small) >= SMALL_RUN - 1:
        rows = sorted([row for meta in small for row in read_events(blocks, meta)] + rows, key=lambda row: row.id)
        file.remove(blocks, "event_block", [meta.id for meta in small])
    for part in events.cut_events(rows):
        insert_events(blocks, part)


def insert_events(blocks: apsw.Connection, rows: Sequence[Row]) -> None:
    """A new block of a device's events, ids ascending, within the caller's transaction."""
    times = [row.observed_at for row in rows]
    device_id = rows[0].device_id
    blocks.execute(
        "INSERT INTO event_block(device_id, start_at, end_at, first_id, last_id, rows) VALUES (?, ?, ?, ?, ?, ?)",
        (device_id, min(times), max(times), rows[0].id, rows[-1].id, len(rows)),
    )
    blocks.execute(
        "INSERT INTO event_data(id, data) VALUES (last_insert_rowid(), ?)", (events.encode_events(device_id, rows),)
    )


def _tidy_up(folder: Path) -> None:
    """Removes what a run that was stopped may have left behind."""
    for path in [*folder.glob("head_*.db-wal"), *folder.glob("head_*.db-shm")]:
        if not path.with_name(path.name.rpartition("-")[0]).exists():
            path.unlink(missing_ok=True)
    blocks = file.connect(folder)
    if blocks is not None:
        slices.sync_folder(folder)
        with closing(blocks), slices.writing(blocks):
            there = [slices.slice_number(path) for path in folder.glob("head_*.db")]
            blocks.execute(
                "DELETE FROM sealed WHERE slice NOT IN (SELECT value FROM json_each(?))", (json.dumps(there),)
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process seals; the lock ends with the process."""
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadySealing(f"Another process is sealing {folder}.") from None
        yield
    finally:
        os.close(lock)
