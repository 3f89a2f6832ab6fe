"""Blocks of a device never overlap, whatever comes and when."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.telemetry.blocks import planning
from roost.telemetry.blocks.planning import Place, cut, plan
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.log import Row

batches = st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=40), min_size=1, max_size=25)


def stretch(times: list[int]) -> Stretch:
    rows = [Row(number, 1, at, at, None, b'{"a":1}', None, None) for number, at in enumerate(sorted(times))]
    return Stretch.of(1, rows)


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(planning, "BLOCK_ROWS", 16)
    patch.setattr(planning, "SMALL_ROWS", 8)
    patch.setattr(planning, "SMALL_RUN", 4)
    patch.setattr(planning, "REWRITE_ROWS", 48)
    yield
    patch.undo()


@settings(max_examples=100, deadline=None)
@given(batches)
def test_nothing_is_lost_and_nothing_overlaps(batches: list[list[int]]) -> None:
    blocks: dict[Place, list[int]] = {}
    for number, batch in enumerate(batches):
        new = stretch(batch)
        rewrites = plan(sorted(blocks, key=lambda place: place.start), new.times)
        assert [rewrite.first for rewrite in rewrites[1:]] == [rewrite.stop for rewrite in rewrites[:-1]]
        assert (rewrites[0].first, rewrites[-1].stop) == (0, new.rows)
        for rewrite in rewrites:
            times = new.times[rewrite.first : rewrite.stop].tolist()
            for place in rewrite.places:
                times += blocks.pop(place)
            for part in cut(stretch(times)):
                found = part.times.tolist()
                blocks[Place(number, found[0], found[-1], len(found))] = found
    ordered = sorted(blocks, key=lambda place: place.start)
    assert all(before.end < after.start for before, after in pairwise(ordered))
    assert sorted(at for times in blocks.values() for at in times) == sorted(at for batch in batches for at in batch)


def test_new_rows_touch_no_block_and_late_ones_only_their_own() -> None:
    places = [Place(1, 0, 9, 10), Place(2, 20, 29, 10), Place(3, 40, 49, 10)]
    assert plan(places, np.array([50, 60])) == [([], 0, 2)]
    assert plan(places, np.array([25, 55])) == [([places[1]], 0, 1), ([], 1, 2)]
    assert plan(places, np.array([15])) == [([], 0, 1)]
    assert plan(places, np.array([29, 35, 40])) == [(places[1:], 0, 3)]


def test_small_blocks_are_put_together_once_there_are_enough() -> None:
    full = Place(0, 0, 9, 12)
    small = [Place(number, 10 * number, 10 * number + 1, 2) for number in range(1, 4)]
    assert plan([full, *small[:2]], np.array([90])) == [([], 0, 1)]
    assert plan([full, *small], np.array([90])) == [(small, 0, 1)]
    assert plan([full, *small], np.arange(90, 99)) == [([], 0, 9)]


@pytest.mark.parametrize(
    ("times", "sizes"),
    [
        (list(range(16)), [16]),
        (list(range(17)), [8, 9]),
        ([5] * 40, [40]),
        ([1] + [5] * 40 + [9], [1, 41]),
    ],
)
def test_cuts_are_even_and_never_tear_a_moment(times: list[int], sizes: list[int]) -> None:
    assert [part.rows for part in cut(stretch(times))] == sizes
