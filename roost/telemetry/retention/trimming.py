"""Taking out of messages what is too old. Pure; a message of which nothing is left is no message any more."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Mask, Summary
from roost.telemetry.log import Row
from roost.telemetry.retention.rules import Cutoffs

_encode = msgspec.json.Encoder().encode


def trimmed_rows(rows: Sequence[Row], cutoffs: Mapping[int, Cutoffs]) -> tuple[list[int], list[Row]]:
    """Which of these rows go, by id, and how those look that stay with fewer readings.

    What goes into buckets stays: they are made of blocks, and the row will soon be in one.
    """
    gone: list[int] = []
    changed: list[Row] = []
    for row in rows:
        mine = cutoffs.get(row.device_id)
        if mine is None or row.observed_at >= mine.outright.latest or mine.holds(row.id, row.observed_at):
            continue
        mine = mine.outright
        if row.observed_at < mine.earliest:
            gone.append(row.id)
        elif row.event_type is None:
            _trim(row, mine, gone, changed)
        elif row.observed_at < mine.whole:
            gone.append(row.id)
    return gone, changed


def _trim(row: Row, cutoffs: Cutoffs, gone: list[int], changed: list[Row]) -> None:
    readings = row.readings()
    kept = {key: value for key, value in readings.items() if row.observed_at >= cutoffs.of(key)}
    if len(kept) == len(readings) and (readings or row.observed_at >= cutoffs.whole):
        return
    if not kept:
        gone.append(row.id)
        return
    units = {key: unit for key, unit in row.units_by_key().items() if key in kept}
    changed.append(msgspec.structs.replace(row, payload=_encode(kept), units=_encode(units) if units else None))


def kept_events(rows: Sequence[Row], cutoffs: Cutoffs) -> list[Row]:
    """Those of a device's events that stay."""
    return [row for row in rows if row.observed_at >= cutoffs.whole or cutoffs.holds(row.id, row.observed_at)]


def has_old(summary: Summary, cutoffs: Cutoffs) -> bool:
    """Whether a block may hold something that is too old, by its summary.

    It does not tell the readings of events, which may have to go although others of the series stay.
    """
    return any(column.first_at < max(cutoffs.of(key), cutoffs.whole) for key, column in summary.columns.items())


def trimmed(stretch: Stretch, cutoffs: Cutoffs) -> Stretch | None:
    """What stays of a block's rows; the very same stretch if that is all, None if it is nothing."""
    rows = np.zeros(stretch.rows, np.bool_)
    held = held_rows(stretch, cutoffs)
    columns = {}
    same = True
    for key, column in stretch.columns.items():
        stays = stretch.times >= cutoffs.of(key)
        if stretch.events is not None:
            stays = np.where(stretch.events, stretch.times >= cutoffs.whole, stays)
        stays |= held
        present = stays if column.present is None else column.present & stays
        same = same and bool(stays.all() if column.present is None else (present == column.present).all())
        columns[key] = column._replace(present=present)
        rows |= present
    if same:
        return stretch
    if not rows.any():
        return None
    whole = Stretch(stretch.device_id, stretch.times, stretch.ids, stretch.received, stretch.events, columns)
    return whole.take(np.flatnonzero(rows))


def held_rows(stretch: Stretch, cutoffs: Cutoffs) -> Mask:
    """Which rows may not go yet, however old they are."""
    guard = cutoffs.guard
    if guard is None:
        return np.zeros(stretch.rows, np.bool_)
    held: Mask = (stretch.times >= guard.complete_ms) | (stretch.ids > guard.through_id)
    return held & (stretch.times < guard.due_ms)
