"""Log, archive and bucket may have the same readings: each counts once, and the fullest account of them wins."""

from collections.abc import Sequence

import numpy as np
import pytest

from roost.telemetry.frames import Column, Frame, Summary
from roost.telemetry.retention.coarse import Coarse, partials_of
from roost.telemetry.retention.merging import merged

DEVICE = 7
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def _frame(minutes: Sequence[int]) -> Frame:
    """A reading at each of these minutes, whose value is the minute."""
    values = np.array(minutes, np.float64)
    return Frame(DEVICE, np.array(minutes, np.int64) * MINUTE_MS, {"temp_c": Column(values)})


def _bucket(minutes: Sequence[int]) -> Coarse:
    """The first hour, of which these minutes have gone."""
    frame = _frame(minutes)
    return Coarse(HOUR_MS, {"temp_c": partials_of(HOUR_MS, frame.times, frame.columns["temp_c"].values)}, {})


def _held(hot: Sequence[int], archived: Sequence[int], gone: Sequence[int], *, summed: bool) -> tuple[int, list[float]]:
    """How many readings are told of in a summary, and those that are given one by one."""
    counted, given = 0, []
    pieces = merged(
        DEVICE,
        [_frame(hot)] if hot else [],
        [_frame(archived)] if archived else [],
        [_bucket(gone)],
        span=(0, 2 * HOUR_MS),
        whole=(lambda _start, _end: True) if summed else None,
    )
    for piece in pieces:
        if isinstance(piece, Summary):
            counted += piece.columns["temp_c"].count
        else:
            column = piece.columns["temp_c"]
            given += column.values[slice(None) if column.present is None else column.present].tolist()
    return counted, given


@pytest.mark.parametrize("summed", [False, True])
def test_an_archive_that_lacks_readings_gives_way_to_the_bucket(summed: bool) -> None:
    assert _held([], [1, 2, 3], [1, 2, 3, 4, 5], summed=summed) == (5, [])


def test_an_archive_that_has_them_all_is_as_fine_as_asked_for() -> None:
    assert _held([], [1, 2, 3], [1, 2, 3], summed=False) == (0, [1, 2, 3])
    assert _held([], [1, 2, 3], [1, 2, 3], summed=True) == (3, [])


@pytest.mark.parametrize("summed", [False, True])
def test_an_archive_that_has_more_is_the_fuller_account(summed: bool) -> None:
    assert _held([], [1, 2, 3, 4], [2, 3], summed=summed) == (0, [1, 2, 3, 4])


@pytest.mark.parametrize("summed", [False, True])
def test_what_came_late_is_added_to_the_bucket(summed: bool) -> None:
    assert _held([30], [1, 2], [1, 2, 3], summed=summed) == (4, [])


def test_what_lies_beside_the_bucket_is_given() -> None:
    assert _held([70], [1, 80], [1, 2, 3], summed=False) == (3, [70, 80])
