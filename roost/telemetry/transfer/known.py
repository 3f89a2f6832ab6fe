"""What of a file is in the log already: a file that comes in twice must change nothing the second time."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from roost.telemetry.frames import Column, Frame
from roost.telemetry.log import Log, Readable
from roost.telemetry.messages import Message, Value

# Wanted moments with less than this between them are looked for in one go.
GAP_MS = 6 * 3600 * 1000
EVENTS_AT_A_MOMENT = 10_000

Mark = tuple[str, int, Value]
_decode = msgspec.json.Decoder().decode


async def known_readings(log: Readable, device_id: int, marks: set[Mark]) -> set[Mark]:
    """Those of the marks (series, ms, value) that the log has of this device. Raises LogUnavailable."""
    keys = sorted({key for key, _, _ in marks})
    times = np.array(sorted({at for _, at, _ in marks}), np.int64)
    known: set[Mark] = set()
    for since, until in _stretches(times):
        async for frame in log.pieces(device_id, since, until, keys=keys):
            if isinstance(frame, Frame):
                known |= await asyncio.to_thread(_known_in, frame, times, marks)
    return known


def _known_in(frame: Frame, times: np.ndarray[tuple[int], np.dtype[np.int64]], marks: set[Mark]) -> set[Mark]:
    return {mark for mark in _marks(frame, times) if mark in marks}


def _stretches(times: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[int, int]]:
    moments = np.asarray(times)
    ends = np.flatnonzero(np.diff(moments) > GAP_MS)
    for first, last in zip([0, *(ends + 1)], [*ends, len(moments) - 1], strict=True):
        yield int(moments[first]), int(moments[last]) + 1


def _marks(frame: Frame, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[Mark]:
    wanted = np.isin(frame.times, times)
    for key, column in frame.columns.items():
        rows = np.flatnonzero(wanted if column.present is None else wanted & column.present)
        if len(rows):
            yield from zip([key] * len(rows), frame.times[rows].tolist(), _values(column, rows), strict=True)


def _values(column: Column, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[Value]:
    # An integer among floats is equal to the float that stands for it, so the marks find each other.
    values: list[Value] = column.values[rows].tolist()
    return values


async def known_events(log: Log, device_id: int, messages: Iterable[Message]) -> list[bool]:
    """For each event whether the log has one of this device, moment, type and document. Raises LogUnavailable."""
    found: list[bool] = []
    moments: dict[int, list[tuple[str | None, object]]] = {}
    for message in messages:
        at = message.observed_at
        if at not in moments:
            rows = await log.between(device_id, at, at + 1, EVENTS_AT_A_MOMENT)
            moments[at] = [(row.event_type, row.document()) for row in rows if row.event_type is not None]
        mark = (message.event_type, _decode(message.payload))
        found.append(mark in moments[at])
        moments[at].append(mark)
    return found
