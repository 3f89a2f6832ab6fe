"""Looking at a folder's telemetry as a whole: what it takes up, and whether every byte is as it was written."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from roost.core.clock import rfc3339_from_ms
from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.codec import DamagedBlock, decode
from roost.telemetry.blocks.events import decode_events
from roost.telemetry.blocks.file import Meta
from roost.telemetry.blocks.summaries import decode_summary, summarise
from roost.telemetry.log import Row
from roost.telemetry.retention import coarse_file
from roost.telemetry.retention.coarse import damage_of

CHUNK = 500

Check = Callable[[apsw.Connection, Meta], str | None]


class Size(NamedTuple):
    """A part of the store; `points` are single values, and None where they are not counted."""

    name: str
    messages: int
    points: int | None
    bytes: int


def sizes(folder: Path) -> Iterator[Size]:
    """The slices, then each table of the blocks with its indexes, then what else is in the folder."""
    seen: set[Path] = set()
    for path in sorted(folder.glob("head_*.db")):
        try:
            with closing(slices.connect(path)) as head:
                if not head.pragma("user_version"):
                    continue
                messages = int(head.execute("SELECT count(*) FROM head").get)
        except apsw.CantOpenError:
            continue  # sealed just now
        files = [path, *path.parent.glob(f"{path.name}-*")]
        seen.update(files)
        yield Size(path.name, messages, None, sum(map(_bytes_of, files)))
    blocks = file.connect(folder)
    if blocks is not None:
        with closing(blocks), file.snapshot(blocks):
            yield from _block_sizes(blocks)
        seen.add(folder / file.FILE)
    yield Size("other files", 0, None, sum(_bytes_of(path) for path in folder.iterdir() if path not in seen))


def _block_sizes(blocks: apsw.Connection) -> Iterator[Size]:
    found: list[Any] = blocks.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
    pages: dict[str, int] = dict(found)
    plain, points = blocks.execute("SELECT coalesce(sum(messages), 0), coalesce(sum(points), 0) FROM block").get
    events = blocks.execute("SELECT coalesce(sum(rows), 0) FROM event_block").get
    yield Size("blocks: columns", int(plain), int(points), pages.pop("block_data"))
    yield Size("blocks: summaries, indexes", 0, None, sum(pages.pop(name) for name in _SUMMARIES))
    yield Size("blocks: events", int(events), None, sum(pages.pop(name) for name in _EVENTS))
    if "coarse" in pages:
        yield Size("buckets", 0, None, pages.pop("coarse"))
    free = int(blocks.pragma("freelist_count")) * int(blocks.pragma("page_size"))
    yield Size("blocks: free and other pages", 0, None, sum(pages.values()) + free)


def damages(folder: Path) -> Iterator[str]:
    """A sentence for everything that is not as it was written, naming block, device and time."""
    for path in [*sorted(folder.glob("head_*.db")), folder / file.FILE]:
        if path.exists():
            yield from _damages_of_file(path)
    blocks = file.connect(folder)
    if blocks is None:
        return
    with closing(blocks):
        for table, check in (("block", _check_block), ("event_block", _check_events)):
            last = 0
            while metas := file.blocks_where(blocks, table, "id > ?1 ORDER BY id", last, CHUNK):
                last = metas[-1].id
                for meta in metas:
                    problem = _problem(blocks, table, meta, check)
                    if problem:
                        what = "Block" if table == "block" else "Block of events"
                        span = f"{rfc3339_from_ms(meta.start)} to {rfc3339_from_ms(meta.end)}"
                        yield f"{what} {meta.id} of device {meta.device_id}, {span}: {problem}"
        for device_id in sorted(coarse_file.devices_with(blocks)):
            for row in coarse_file.rows_between(blocks, device_id, 0, file.FOREVER):
                problem = damage_of(device_id, row)
                if problem:
                    yield problem


def _damages_of_file(path: Path) -> Iterator[str]:
    try:
        with closing(slices.connect(path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(10)")]
    except apsw.CantOpenError:
        return  # sealed just now
    except apsw.Error as error:
        found = [str(error)]
    if found != ["ok"]:
        yield from (f"{path.name}: {problem}" for problem in found)


def _problem(blocks: apsw.Connection, table: str, meta: Meta, check: Check) -> str | None:
    with file.snapshot(blocks):
        try:
            return check(blocks, meta)
        except DamagedBlock as error:
            return str(error)
        except (apsw.Error, ValueError, TypeError) as error:
            if not file.blocks_where(blocks, table, "id = ?1", meta.id, 1):
                return None  # merged or pruned in the meantime
            return f"It cannot be read: {error}."


def _check_block(blocks: apsw.Connection, meta: Meta) -> str | None:
    stretch = decode(meta.device_id, file.data_of(blocks, "block", meta.id))
    summary = decode_summary(meta.device_id, meta.start, meta.end, file.summary_of(blocks, meta.id))
    ids = stretch.ids
    found = Meta(
        meta.id, meta.device_id, int(stretch.times[0]), int(stretch.times[-1]), int(ids.min()), int(ids.max()),
        stretch.rows,
    )  # fmt: skip
    return None if found == meta and summarise(stretch) == summary else "It says something else than its summary."


def _check_events(blocks: apsw.Connection, meta: Meta) -> str | None:
    rows: list[Row] = decode_events(meta.device_id, file.data_of(blocks, "event_block", meta.id))
    times = [row.observed_at for row in rows]
    found = Meta(meta.id, meta.device_id, min(times), max(times), rows[0].id, rows[-1].id, len(rows))
    return None if found == meta else "It says something else than its place in the table."


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


_SUMMARIES = ("block", "block_time", "block_arrival")
_EVENTS = ("event_block", "event_time", "event_arrival", "event_place", "event_data")
