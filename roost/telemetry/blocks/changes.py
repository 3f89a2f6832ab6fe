"""Deleting from the blocks, while somebody may be sealing or reading: whole blocks, and the edges of others."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw

from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.reads import read_block, read_events
from roost.telemetry.blocks.sealing import insert, insert_events

# So many blocks go in one transaction: whoever is sealing waits for milliseconds.
CHUNK = 200


def delete_device(folder: Path, device_id: int) -> int:
    """Deletes the blocks of a device; the number of messages in them."""
    return _delete(folder, "device_id = ?1", device_id, keep_from=None)


def prune_blocks(folder: Path, before: int) -> int:
    """Deletes what was observed before `before` (ms); the number of messages.

    Raises:
        LogUnavailable: a block that is only partly old is damaged; it stays, and so does what came after it.
    """
    return _delete(folder, "start_at < ?1", before, keep_from=before)


def _delete(folder: Path, condition: str, value: int, *, keep_from: int | None) -> int:
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
        file.give_space_back(blocks)
    return deleted


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
