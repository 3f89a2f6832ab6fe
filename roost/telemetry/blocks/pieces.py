"""Head and blocks as one: what a query reads of a stretch of time. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from roost.telemetry.blocks.stretch import Stretch, joined
from roost.telemetry.columns import frame_of
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import Row

FRAME_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block from its first to its last moment (ms, both included), read only when it is needed."""

    start: int
    end: int
    decode: Callable[[], Stretch]
    summary: Callable[[], Summary]


def pieces_of(
    device_id: int,
    span: tuple[int, int],
    head: Sequence[Row],
    blocks: Sequence[SealedBlock],
    *,
    keys: Sequence[str] = (),
    whole: Callable[[int, int], bool] | None = None,
) -> Iterator[Frame | Summary]:
    """What rows and blocks of a device hold from `span[0]` to before `span[1]` (ms), oldest first.

    `head` is by time and arrival; `blocks` ascend and do not overlap. See `roost.telemetry.log.Log.pieces`.
    """
    since, until = span
    place = bisect_left(head, since, key=_time)
    for block in blocks:
        before = bisect_left(head, block.start, place, key=_time)
        yield from _frames(device_id, head[place:before], keys)
        place = bisect_left(head, min(block.end + 1, until), before, key=_time)
        late = head[before:place]
        inside = since <= block.start and block.end < until
        if not late and inside and whole is not None and whole(block.start, block.end):
            yield block.summary()
            continue
        stretch = block.decode()
        if not inside:
            stretch = stretch.between(since, until)
        if late:
            stretch = joined([stretch, Stretch.of(device_id, late)])
        if stretch.rows:
            yield stretch.frame(keys)
    yield from _frames(device_id, head[place : bisect_left(head, until, place, key=_time)], keys)


def _frames(device_id: int, rows: Sequence[Row], keys: Sequence[str]) -> Iterator[Frame]:
    start = 0
    while start < len(rows):
        stop = start + FRAME_ROWS
        if stop < len(rows):
            # A moment is never torn; one with more rows than a frame makes a larger frame.
            stop = bisect_left(rows, rows[stop].observed_at, key=_time)
            if stop == start:
                stop = bisect_left(rows, rows[start].observed_at + 1, start, key=_time)
        frame = frame_of(device_id, rows[start:stop], keys)
        if len(frame.times):
            yield frame
        start = stop


def _time(row: Row) -> int:
    return row.observed_at
