"""What stays of blocks that are only partly too old."""

from collections.abc import Sequence
from typing import Any

from roost.telemetry.postgres import blocks
from roost.telemetry.postgres.blocks import FOREVER, BlockRow, EventRow, Meta, Table
from roost.telemetry.postgres.reads import read_block, read_events
from roost.telemetry.postgres.sealing import block_row, event_row
from roost.telemetry.retention import coarse, coarse_table


async def keep(connection: Any, table: Table, metas: Sequence[Meta], keep_from: int) -> int:
    """Writes what these blocks hold from `keep_from` (ms) on as blocks of their own; the number of messages in it.

    Raises:
        LogUnavailable: such a block is damaged.
    """
    kept_blocks: list[BlockRow] = []
    kept_events: list[EventRow] = []
    for meta in metas:
        if meta.end < keep_from:
            continue
        if table == "block":
            kept_blocks.append(block_row((await read_block(connection, meta)).between(keep_from, FOREVER)))
        else:
            rows = [row for row in await read_events(connection, meta) if row.observed_at >= keep_from]
            kept_events.append(event_row(rows))
    await blocks.insert(connection, kept_blocks, kept_events)
    return sum(row.messages for row in kept_blocks) + sum(row.rows for row in kept_events)


async def keep_buckets(connection: Any, keep_from: int) -> None:
    """Takes out of rows of buckets those that have ended by then (ms). Raises LogUnavailable for damaged ones."""
    for device_id, row in await coarse_table.rows_across(connection, keep_from):
        with coarse.naming_damage(device_id, row.start):
            kept = coarse.encoded(device_id, row, coarse.after(coarse.decoded(device_id, row), keep_from))
        if kept is not None:
            await coarse_table.put(connection, device_id, kept)
