"""Where new rows go among the blocks of a device, so that its blocks never overlap in time. Pure.

Rows that are newer than every block become new blocks. Late rows are put into the block whose time they belong to,
or between two. Blocks that are too small to be worth their overhead are put together once there are enough of them.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Times

BLOCK_ROWS = 4096
SMALL_ROWS = BLOCK_ROWS // 2
# So many small neighbours become one block: each row is written again two or three times in its life.
SMALL_RUN = 8
# A rewrite holds no more than this in memory, but for what is new.
REWRITE_ROWS = 16 * BLOCK_ROWS


class Place(NamedTuple):
    """A block of a device: `start` and `end` are its first and last moment (ms, both included)."""

    id: int
    start: int
    end: int
    rows: int


class Rewrite(NamedTuple):
    """The blocks of `places` and the new rows from `first` to before `stop` become new blocks."""

    places: Sequence[Place]
    first: int
    stop: int


def plan(places: Sequence[Place], times: Times) -> list[Rewrite]:
    """How rows of these ascending times join the blocks of a device, which are ascending and do not overlap."""
    groups = list(_groups(places, times))
    rewrites: list[Rewrite] = []
    taken = 0
    for number, group in enumerate(groups):
        next_block = groups[number + 1].left if number + 1 < len(groups) else len(places)
        left, right = group.left, group.right
        if group.rows(places) < SMALL_ROWS:
            left, right = _with_small_neighbours(places[:next_block], taken, group)
        rewrites.append(Rewrite(places[left:right], group.first, group.stop))
        taken = right
    return rewrites


def cut(stretch: Stretch) -> Iterator[Stretch]:
    """Even parts of at most `BLOCK_ROWS` rows, or of one moment where that has more."""
    count = -(-stretch.rows // BLOCK_ROWS)
    start = 0
    for number in range(1, count + 1):
        stop = number * stretch.rows // count
        if stop < stretch.rows:
            # A moment is never torn: what belongs to it is found in one block.
            stop = int(np.searchsorted(stretch.times, stretch.times[stop], "left"))
        if stop > start:
            yield stretch.part(start, stop)
            start = stop


def seal_units(counts: Sequence[tuple[int, int]], most_rows: int) -> Iterator[list[int]]:
    """Devices (of pairs with how many rows each has) that are sealed together: at most so many rows, or one device."""
    unit: list[int] = []
    rows = 0
    for device_id, count in counts:
        if unit and rows + count > most_rows:
            yield unit
            unit, rows = [], 0
        unit.append(device_id)
        rows += count
    if unit:
        yield unit


class _Group(NamedTuple):
    """Rows `first` to before `stop`, and the blocks they fall into: `left` to before `right`, which may be none."""

    left: int
    right: int
    first: int
    stop: int

    def rows(self, places: Sequence[Place]) -> int:
        return self.stop - self.first + sum(place.rows for place in places[self.left : self.right])


def _groups(places: Sequence[Place], times: Times) -> Iterator[_Group]:
    starts = np.array([place.start for place in places], np.int64)
    ends = np.array([place.end for place in places], np.int64)
    block_of = np.searchsorted(ends, times, "left")
    inside = block_of < len(places)
    inside[inside] = starts[block_of[inside]] <= times[inside]
    # Even numbers: in the gap before a block; odd ones: inside of it.
    room = 2 * block_of + inside
    edges = np.flatnonzero(np.diff(room, prepend=-1, append=-1)).tolist()
    current: _Group | None = None
    for first, stop in pairwise(edges):
        block, within = divmod(int(room[first]), 2)
        if current is not None and block <= current.right and current.rows(places) < REWRITE_ROWS:
            current = _Group(current.left, block + within, current.first, stop)
            continue
        if current is not None:
            yield current
        current = _Group(block, block + within, first, stop)
    if current is not None:
        yield current


def _with_small_neighbours(places: Sequence[Place], taken: int, group: _Group) -> tuple[int, int]:
    """The blocks of the group with the small ones beside them from `taken` on, if these are enough to be one."""
    left, right = group.left, group.right
    while left > taken and places[left - 1].rows < SMALL_ROWS:
        left -= 1
    while right < len(places) and places[right].rows < SMALL_ROWS:
        right += 1
    return (left, right) if right - left >= SMALL_RUN - 1 else (group.left, group.right)
