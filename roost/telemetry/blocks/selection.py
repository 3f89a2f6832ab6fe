"""Which of a block's messages were asked for. Pure, and the same whatever keeps the blocks."""

import numpy as np

from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.log import MessageFilter, Row


def newest_of(stretch: Stretch, limit: int, before_id: int, span: tuple[int, int]) -> list[Row]:
    """The last messages of a block to arrive that are no events."""
    wanted = (stretch.ids < before_id) & (stretch.times >= span[0]) & (stretch.times < span[1])
    if stretch.events is not None:
        wanted &= ~stretch.events
    places = np.flatnonzero(wanted)
    if len(places) > limit:
        places = places[np.argsort(stretch.ids[places])[-limit:]]
    return stretch.take(places).messages()


def is_wanted(row: Row, wanted: MessageFilter, before_id: int, span: tuple[int, int]) -> bool:
    """Whether an event meets the filter; its span and `before_id` are given apart, with their defaults filled in."""
    return (
        row.id < before_id
        and span[0] <= row.observed_at < span[1]
        and (wanted.event_type is None or row.event_type == wanted.event_type)
    )


def place_of(row: Row) -> tuple[int, int]:
    """What messages are ordered by: time, then arrival."""
    return row.observed_at, row.id
