"""Buckets in which nothing was heard, for those who want a value in each."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

Row = dict[str, Any]


def filled(rows: dict[int, Row], edges: Sequence[int], fill: str) -> Iterator[tuple[int, Row]]:
    """`rows` by bucket start, at least one, with a row for each of `edges` that has none.

    `null`: nothing is known there. `previous`: what the bucket before it had. `linear`: on a line between the buckets
    around it. Before the first reading, and with `linear` after the last, nothing is known either. `count` is 0.
    """
    known = sorted(rows)
    names = tuple(rows[known[0]])
    gaps = dict(pairwise(known)) if fill == "linear" else {}
    before: int | None = None
    for edge in edges:
        if edge in rows:
            before = edge
            yield edge, rows[edge]
        elif fill == "previous" and before is not None:
            yield edge, _repeated(rows[before])
        elif before is not None and before in gaps:
            after = gaps[before]
            yield edge, _between(rows[before], rows[after], (edge - before) / (after - before))
        else:
            yield edge, _nothing(names)


def _nothing(names: Iterable[str]) -> Row:
    return {name: 0 if name == "count" else None for name in names}


def _repeated(before: Row) -> Row:
    return {name: 0 if name == "count" else value for name, value in before.items()}


def _between(before: Row, after: Row, share: float) -> Row:
    return {name: 0 if name == "count" else _mixed(value, after[name], share) for name, value in before.items()}


def _mixed(low: float | None, high: float | None, share: float) -> float | None:
    return None if low is None or high is None else low * (1 - share) + high * share
