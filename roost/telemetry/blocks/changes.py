"""Deleting from the blocks, while somebody may be sealing or reading: whole blocks, and the edges of others."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.reads import read_block, read_events
from roost.telemetry.blocks.sealing import insert, insert_events
from roost.telemetry.retention import coarse, coarse_file

# So many blocks go in one transaction: whoever is sealing waits for milliseconds.
CHUNK = 200


def delete_device(folder: Path, device_id: int) -> int:
    """Deletes the blocks of a device, and its buckets; the number of messages in them."""
    return _delete(folder, "device_id = ?1", device_id, lambda blocks: coarse_file.remove_devices(blocks, [device_id]))


def prune_blocks(folder: Path, before: int, through_id: int = file.FOREVER) -> int:
    """Deletes what was observed before `before` (ms); the number of messages. Buckets go with what they are made of.

    Blocks with a message that has a higher id than `through_id` stay.

    Raises:
        LogUnavailable: a block that is only partly old is damaged; it stays, and so does what came after it.
    """
    condition = f"last_id <= {int(through_id)} AND start_at < ?1"
    return _delete(folder, condition, before, partial(_prune_buckets, before=before), keep_from=before)


def _delete(
    folder: Path,
    condition: str,
    value: int,
    buckets: Callable[[apsw.Connection], None],
    *,
    keep_from: int | None = None,
) -> int:
    blocks = file.connect(folder)
    if blocks is None:
        return 0
    deleted = 0
    with closing(blocks):
        for table, change in (("block", _drop_blocks), ("event_block", _drop_events)):
            while True:
                with slices.writing(blocks):
                    metas = file.blocks_where(blocks, table, condition, value, CHUNK)
                    deleted += change(blocks, metas, keep_from)
                if len(metas) < CHUNK:
                    break
        if coarse_file.is_there(blocks):
            with slices.writing(blocks):
                buckets(blocks)
        file.give_space_back(blocks)
    return deleted


def _prune_buckets(blocks: apsw.Connection, before: int) -> None:
    coarse_file.prune(blocks, before)
    for device_id, row in coarse_file.rows_across(blocks, before):
        with coarse.naming_damage(device_id, row.start):
            kept = coarse.encoded(device_id, row, coarse.after(coarse.decoded(device_id, row), before))
        if kept is not None:
            coarse_file.put(blocks, device_id, kept)


def _drop_blocks(blocks: apsw.Connection, metas: Sequence[Meta], keep_from: int | None) -> int:
    deleted = 0
    for meta in metas:
        deleted += file.messages_in(blocks, meta.id)
        kept = None
        if keep_from is not None and meta.end >= keep_from:
            kept = read_block(blocks, meta).between(keep_from, file.FOREVER)
        file.remove(blocks, "block", [meta.id])
        if kept is not None:
            deleted -= file.messages_in(blocks, insert(blocks, kept))
    return deleted


def _drop_events(blocks: apsw.Connection, metas: Sequence[Meta], keep_from: int | None) -> int:
    deleted = 0
    for meta in metas:
        deleted += meta.rows
        kept = []
        if keep_from is not None and meta.end >= keep_from:
            kept = [row for row in read_events(blocks, meta) if row.observed_at >= keep_from]
        file.remove(blocks, "event_block", [meta.id])
        if kept:
            insert_events(blocks, kept)
            deleted -= len(kept)
    return deleted
