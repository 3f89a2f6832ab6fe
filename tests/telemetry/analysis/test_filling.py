"""Buckets in which nothing was heard."""

from typing import Any

import pytest

from roost.telemetry.analysis.filling import filled

ROWS: dict[int, dict[str, Any]] = {20: {"avg": 1.0, "count": 4}, 50: {"avg": 4.0, "count": 2}}


@pytest.mark.parametrize(
    ("fill", "averages"),
    [
        ("null", [None, 1, None, None, 4, None]),
        ("previous", [None, 1, 1, 1, 4, 4]),
        ("linear", [None, 1, 2, 3, 4, None]),
    ],
)
def test_each_way_to_fill(fill: str, averages: list[float | None]) -> None:
    found = dict(filled(ROWS, range(10, 70, 10), fill))
    assert list(found) == list(range(10, 70, 10))
    assert [row["avg"] for row in found.values()] == averages
    assert [row["count"] for row in found.values()] == [0, 4, 0, 0, 2, 0]


def test_what_no_double_held_is_not_drawn_a_line_to() -> None:
    rows: dict[int, dict[str, Any]] = {0: {"avg": None}, 20: {"avg": 1.0}}
    assert dict(filled(rows, [0, 10, 20], "linear"))[10] == {"avg": None}
