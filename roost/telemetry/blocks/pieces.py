"""Head and blocks as one: what a query reads of a stretch of time. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from roost.telemetry.blocks.sealed import SealedBlock
from roost.telemetry.blocks.stretch import Stretch, frame_between, joined
from roost.telemetry.columns import frame_of
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import Row

FRAME_ROWS = 65_536

Whole = Callable[[int, int], bool]


@dataclass(frozen=True, slots=True)
class Share:
    """What a batch takes of one device: these blocks, and what is not sealed, from `since` to before `until` (ms)."""

    device_id: int
    since: int
    until: int
    blocks: Sequence[SealedBlock]

    def ending(self, until: int) -> "Share":
        """The same up to an earlier moment."""
        if until == self.until:
            return self
        return replace(self, until=until, blocks=[block for block in self.blocks if block.start < until])

    def decoded(self, head: Sequence[Row]) -> Iterator[SealedBlock]:
        """The blocks of which a summary is not enough, beside these rows of the device by time and arrival."""
        if not head:
            for block in self.blocks:
                if not block.summed or block.end >= self.until:
                    yield block
            return
        for block in self.blocks:
            place = bisect_left(head, block.start, key=_time)
            has_late = place < len(head) and head[place].observed_at <= block.end
            if has_late or not block.summed or block.end >= self.until:
                yield block


class Place(NamedTuple):
    """How far a question about many devices has come: to the moment `since` (ms) of the device with this number."""

    number: int
    since: int

    def after(self, shares: Sequence[Share], devices: int, span: tuple[int, int]) -> "Place | None":
        """Where the next batch begins, of so many devices; None when these shares were the last ones."""
        number, last = self.number + len(shares), shares[-1]
        if last.until < span[1]:
            return Place(number - 1, last.until)
        return Place(number, span[0]) if number < devices else None


class Room(NamedTuple):
    """What there is still room for in a batch: rows to be decoded, and blocks."""

    rows: int
    blocks: int


def share_of(
    device_id: int, span: tuple[int, int], blocks: Iterable[SealedBlock], whole: Whole | None, room: Room
) -> tuple[Share, Room]:
    """The first of a device's blocks, for which there is room, and the room that they leave. One is always taken.

    Where these are not all, the share ends earlier than the span. The iterator is read one block further at most.
    """
    since, until = span
    taken: list[SealedBlock] = []
    rows = 0
    for block in blocks:
        block.summed = (
            whole is not None and since <= block.start and block.end < until and whole(block.start, block.end)
        )
        decoded = 0 if block.summed else block.rows
        if taken and (len(taken) == room.blocks or (rows and decoded and rows + decoded > room.rows)):
            until = block.start
            break
        rows += decoded
        taken.append(block)
    return Share(device_id, since, until, taken), Room(room.rows - rows, room.blocks - len(taken))


def pieces_of(share: Share, head: Sequence[Row], *, keys: Sequence[str] = ()) -> Iterator[Frame | Summary]:
    """What rows and blocks of a device hold in the time of the share, oldest first.

    `head` is by time and arrival; the blocks ascend and do not overlap. See `roost.telemetry.log.Log.pieces`.
    """
    device_id, since, until = share.device_id, share.since, share.until
    place = bisect_left(head, since, key=_time)
    for block in share.blocks:
        late: Sequence[Row] = ()
        if place < len(head):
            before = bisect_left(head, block.start, place, key=_time)
            yield from _frames(device_id, head[place:before], keys)
            place = bisect_left(head, min(block.end + 1, until), before, key=_time)
            late = head[before:place]
        if late:
            stretch = block.stretch().between(since, until)
            frame = joined([stretch, Stretch.of(device_id, late)]).frame(keys)
        elif block.summed and block.end < until:
            yield block.summary()
            continue
        else:
            frame = block.frame()
            if not (since <= block.start and block.end < until):
                frame = frame_between(frame, since, until)
        if len(frame.times):
            yield frame
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
