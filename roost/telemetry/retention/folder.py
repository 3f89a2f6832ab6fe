"""Carrying a plan out on SQLite, also while a hub is writing and somebody is sealing.

First the slices, then the blocks: what is sealed in between is found by the second step. Each step may be stopped
anywhere and repeated: what is deleted is deleted in the transaction that writes what stays.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.codec import DamagedBlock
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.reads import read_block, read_events
from roost.telemetry.blocks.sealing import insert, insert_events
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.log import CoarseRow, LogUnavailable
from roost.telemetry.prune import prune_folder
from roost.telemetry.retention import coarse_file
from roost.telemetry.retention.coarse import (
    Coarse,
    by_period,
    decoded,
    encode,
    encoded,
    fold,
    naming_damage,
    united,
    without_old,
)
from roost.telemetry.retention.plan import Plan
from roost.telemetry.retention.rules import DAY_MS, Cutoffs, Guard
from roost.telemetry.retention.trimming import has_old, kept_events, trimmed, trimmed_rows

ROWS = 5_000
# A transaction decodes so many blocks at most: whoever is sealing waits for tenths of a second.
BLOCKS = 16


def apply_to_folder(folder: Path, plan: Plan, now_ms: int, guard: Guard | None = None) -> int:
    """Deletes what is too old, but for the buckets that stay of it; the number of messages of which nothing is left.

    Raises:
        LogUnavailable: some block is damaged; it stays, and all others were seen to.
        OSError, apsw.Error: the disk is full or away; what was done so far stays done.
    """
    deleted = 0
    if plan.floor_days is not None:
        before = now_ms - plan.floor_days * DAY_MS
        if guard is None:
            deleted += prune_folder(folder, before)
        else:
            deleted += prune_folder(folder, min(before, guard.complete_ms), guard.through_id)
    cutoffs = plan.cutoffs(now_ms, guard)
    if not cutoffs:
        return deleted
    latest = max(mine.outright.latest for mine in cutoffs.values())
    for path in sorted(folder.glob("head_*.db")):
        try:
            head = slices.connect(path)
        except apsw.CantOpenError:
            continue  # sealed just now
        with closing(head):
            if head.pragma("user_version"):  # otherwise a hub is just creating it
                deleted += _trim_slice(head, cutoffs, latest)
    blocks = file.connect(folder)
    if blocks is not None:
        with closing(blocks):
            deleted += _trim_blocks(blocks, cutoffs)
    return deleted


def _trim_slice(head: apsw.Connection, cutoffs: Mapping[int, Cutoffs], latest: int) -> int:
    deleted = last_id = 0
    touched = False
    sql = f"SELECT {slices.COLUMNS} FROM head WHERE id > ? AND observed_at < ? ORDER BY id LIMIT {ROWS}"  # noqa: S608
    while True:
        rows = slices.as_rows(head.execute(sql, (last_id, latest)))
        gone, changed = trimmed_rows(rows, cutoffs)
        if gone or changed:
            # Nobody else changes a row, and one that is gone by now is not there to be changed.
            with slices.writing(head):
                head.executemany("DELETE FROM head WHERE id = ?", [(row_id,) for row_id in gone])
                head.executemany(
                    "UPDATE head SET payload = ?, units = ? WHERE id = ?",
                    [(row.payload, row.units, row.id) for row in changed],
                )
            deleted += len(gone)
            touched = True
        if len(rows) < ROWS:
            break
        last_id = rows[-1].id
    if touched:
        slices.move_to_place(head)
    return deleted


def _trim_blocks(blocks: apsw.Connection, cutoffs: Mapping[int, Cutoffs]) -> int:
    deleted = 0
    damaged: LogUnavailable | None = None
    coarse = coarse_file.devices_with(blocks)
    for device_id, mine in cutoffs.items():
        trims = (_trim_coarse, _trim_device, _trim_events) if device_id in coarse else (_trim_device, _trim_events)
        for trim in trims:
            try:
                deleted += trim(blocks, device_id, mine)
            except LogUnavailable as error:
                damaged = error
    if deleted or blocks.pragma("freelist_count"):
        file.give_space_back(blocks)
    if damaged is not None:
        raise damaged
    return deleted


def _trim_device(blocks: apsw.Connection, device_id: int, cutoffs: Cutoffs) -> int:
    deleted = since = 0
    damaged: LogUnavailable | None = None
    while True:
        metas = file.blocks_between(blocks, device_id, since, cutoffs.latest, BLOCKS)
        if any(_has_work(blocks, meta, cutoffs) for meta in metas):
            with slices.writing(blocks):
                # Again, now that nobody else changes them.
                metas = file.blocks_between(blocks, device_id, since, cutoffs.latest, BLOCKS)
                for meta in metas:
                    try:
                        deleted += _trim_block(blocks, meta, cutoffs)
                    except LogUnavailable as error:
                        damaged = error
        if len(metas) < BLOCKS:
            break
        since = metas[-1].end + 1
    if damaged is not None:
        raise damaged
    return deleted


def _has_work(blocks: apsw.Connection, meta: Meta, cutoffs: Cutoffs) -> bool:
    if cutoffs.goes_wholly(meta.start, meta.end, meta.last_id):
        return True
    try:
        summary = decode_summary(meta.device_id, meta.start, meta.end, file.summary_of(blocks, meta.id))
    except DamagedBlock:
        return True  # the block itself says what is left of it
    return has_old(summary, cutoffs)


def _trim_block(blocks: apsw.Connection, meta: Meta, cutoffs: Cutoffs) -> int:
    """Within the caller's transaction. Raises LogUnavailable for one that is damaged, and leaves it."""
    if not _has_work(blocks, meta, cutoffs):
        return 0
    messages = file.messages_in(blocks, meta.id)
    kept = None
    if not cutoffs.goes_wholly(meta.start, meta.end, meta.last_id):
        stretch = read_block(blocks, meta)
        kept = trimmed(stretch, cutoffs)
        if kept is stretch:
            return 0
        for row in _with_folded(blocks, meta.device_id, fold(stretch, cutoffs)):
            coarse_file.put(blocks, meta.device_id, row)
    file.remove(blocks, "block", [meta.id])
    if kept is not None:
        messages -= file.messages_in(blocks, insert(blocks, kept))
    return messages


def _with_folded(blocks: apsw.Connection, device_id: int, folded: Sequence[Coarse]) -> list[CoarseRow]:
    """The rows of buckets as they are with these; nothing is changed yet. Raises LogUnavailable for damaged ones."""
    rows = []
    for coarse in folded:
        for (start, end), part in by_period(coarse).items():
            there = coarse_file.row_at(blocks, device_id, coarse.width_ms, start)
            if there is not None:
                with naming_damage(device_id, start):
                    part = united([decoded(device_id, there), part])  # noqa: PLW2901 - the part with what was there
            rows.append(CoarseRow(coarse.width_ms, start, end, encode(device_id, part)))
    return rows


def _trim_coarse(blocks: apsw.Connection, device_id: int, cutoffs: Cutoffs) -> int:
    """Takes away buckets that are too old; no messages are in them."""
    latest = cutoffs.outright.latest
    for row in coarse_file.rows_between(blocks, device_id, 0, latest):
        with naming_damage(device_id, row.start):
            known = decoded(device_id, row)
        left = without_old(known, cutoffs)
        if left is not known:
            with slices.writing(blocks):
                # Nobody else takes anything away, but something may have been added just now.
                there = coarse_file.row_at(blocks, device_id, row.width_ms, row.start)
                if there == row:
                    kept = encoded(device_id, row, left)
                    if kept is None:
                        coarse_file.remove(blocks, device_id, row)
                    else:
                        coarse_file.put(blocks, device_id, kept)
    return 0


def _trim_events(blocks: apsw.Connection, device_id: int, cutoffs: Cutoffs) -> int:
    deleted = 0
    if not file.events_before(blocks, device_id, 0, cutoffs.whole):
        return 0
    with slices.writing(blocks):
        metas: Sequence[Meta] = file.events_before(blocks, device_id, 0, cutoffs.whole)
        for meta in metas:
            kept = []
            if meta.end >= cutoffs.whole or (
                cutoffs.guard and cutoffs.guard.may_hold(meta.start, meta.end, meta.last_id)
            ):
                kept = kept_events(read_events(blocks, meta), cutoffs)
                if len(kept) == meta.rows:
                    continue
            file.remove(blocks, "event_block", [meta.id])
            if kept:
                insert_events(blocks, kept)
            deleted += meta.rows - len(kept)
    return deleted
