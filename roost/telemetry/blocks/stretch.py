"""Messages of one device as columns, with what lists of messages need: between rows of the log and sealed blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from roost.telemetry.blocks import arrays
from roost.telemetry.columns import ColumnBuilder, typed
from roost.telemetry.frames import Column, Frame, Mask, Times
from roost.telemetry.log import Row
from roost.telemetry.messages import Value

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows by time and, within a moment, by arrival (id); every row has a reading. Times in ms since 1970 UTC.

    `events` says which rows are the readings of an event, whose document is kept elsewhere (None: no row is).
    `received` equals `times` where the device gave no time of its own.
    """

    device_id: int
    times: Times
    ids: Times
    received: Times
    events: Mask | None
    columns: dict[str, Column]

    @property
    def rows(self) -> int:
        return len(self.times)

    @classmethod
    def of(cls, device_id: int, rows: Iterable[Row]) -> "Stretch":
        """The messages that have readings, in their order, which is that of a stretch."""
        kept = [(row, readings) for row in rows if (readings := row.readings())]
        events = np.array([row.event_type is not None for row, _ in kept], np.bool_)
        return cls(
            device_id,
            np.array([row.observed_at for row, _ in kept], np.int64),
            np.array([row.id for row, _ in kept], np.int64),
            np.array([row.received_at for row, _ in kept], np.int64),
            events if events.any() else None,
            _columns(kept),
        )

    def part(self, start: int, stop: int) -> "Stretch":
        """Rows `start` <= row < `stop`, with the columns that have a value in them."""
        return self if start == 0 and stop >= self.rows else self.take(np.arange(start, min(stop, self.rows)))

    def between(self, since: int, until: int) -> "Stretch":
        """The rows with `since` <= time < `until` (ms)."""
        start, stop = np.searchsorted(self.times, (since, until))
        return self.part(int(start), int(stop))

    def take(self, places: npt.NDArray[np.intp]) -> "Stretch":
        """These rows in this order."""
        columns = {key: arrays.take(column, places) for key, column in self.columns.items()}
        return Stretch(
            self.device_id,
            self.times[places],
            self.ids[places],
            self.received[places],
            None if self.events is None else self.events[places],
            {key: column for key, column in columns.items() if column.present is None or column.present.any()},
        )

    def frame(self, keys: Sequence[str] = ()) -> Frame:
        """The readings; of the same value of a series at the same moment the first one. `keys` empty: all."""
        columns = {key: column for key, column in self.columns.items() if not keys or key in keys}
        return frame_without_repetitions(self.device_id, self.times, columns)

    def messages(self) -> list[Row]:
        """The rows that are no events, as messages, in the order of the stretch."""
        documents: list[dict[str, Value]] = [{} for _ in range(self.rows)]
        units: dict[int, dict[str, str]] = {}
        for key, column in self.columns.items():
            places = range(self.rows) if column.present is None else np.flatnonzero(column.present).tolist()
            for place, value in zip(places, arrays.exact(column), strict=True):
                documents[place][key] = value
            for place, unit in arrays.units_by_place(column):
                units.setdefault(place, {})[key] = unit
        times, ids, received = self.times.tolist(), self.ids.tolist(), self.received.tolist()
        return [
            Row(
                ids[place], self.device_id, times[place], received[place], None, _encode(documents[place]),
                _encode(units[place]) if place in units else None, None,
            )
            for place in range(self.rows)
            if self.events is None or not self.events[place]
        ]  # fmt: skip

    def without_copies(self) -> "Stretch":
        """Without messages that a device sent again, with its own time and the same content; events stay."""
        copies = self._copies()
        if not copies:
            return self
        return self.take(np.setdiff1d(np.arange(self.rows), copies))

    def _copies(self) -> list[int]:
        own = self.received != self.times
        if self.events is not None:
            own &= ~self.events
        candidates = np.flatnonzero(own)
        times = self.times[candidates]
        copies: list[int] = []
        here: set[bytes] = set()
        moment = None
        # Only moments that come twice are looked at value by value.
        for place in candidates[arrays.repeated(times)].tolist():
            if self.times[place] != moment:
                moment = self.times[place]
                here = set()
            content = self._content(place)
            if content in here:
                copies.append(place)
            here.add(content)
        return copies

    def _content(self, place: int) -> bytes:
        return _encode_sorted(
            {
                key: arrays.exact(arrays.take(column, np.array([place])))[0]
                for key, column in self.columns.items()
                if column.present is None or column.present[place]
            }
        )


def _columns(kept: list[tuple[Row, dict[str, Value]]]) -> dict[str, Column]:
    if not kept:
        return {}
    keys = kept[0][1].keys()
    if all(row.units is None and readings.keys() == keys for row, readings in kept):
        # What nearly every device sends, in a third of the time: the same readings each time.
        every = {key: typed([readings[key] for _, readings in kept]) for key in keys}
        return {key: Column(values, None, integral) for key, (values, integral) in every.items()}
    builders: dict[str, ColumnBuilder] = {}
    for place, (row, readings) in enumerate(kept):
        units = row.units_by_key()
        for key, value in readings.items():
            builder = builders.get(key)
            if builder is None:
                builder = builders[key] = ColumnBuilder()
            builder.add(place, value, units.get(key))
    return {key: builder.build(len(kept)) for key, builder in builders.items()}


def joined(parts: Sequence[Stretch]) -> Stretch:
    """At least one stretch of a device's messages as one, copies removed."""
    if len(parts) == 1:
        return parts[0].without_copies()
    lengths = [part.rows for part in parts]
    names = dict.fromkeys(key for part in parts for key in part.columns)
    events = None
    if any(part.events is not None for part in parts):
        events = np.concatenate(
            [np.zeros(part.rows, np.bool_) if part.events is None else part.events for part in parts]
        )
    whole = Stretch(
        parts[0].device_id,
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.received for part in parts]),
        events,
        {key: arrays.concatenated([part.columns.get(key) for part in parts], lengths) for key in names},
    )
    order = np.lexsort((whole.ids, whole.times))
    if (order[1:] < order[:-1]).any():
        whole = whole.take(order)
    return whole.without_copies()


def frame_without_repetitions(device_id: int, times: Times, columns: dict[str, Column]) -> Frame:
    """The readings of columns over ascending times; of the same value of a series at the same moment the first one."""
    if (times[1:] == times[:-1]).any():
        columns = {key: arrays.without_repetitions(column, times) for key, column in columns.items()}
    return Frame(device_id, times, columns)


def frame_between(frame: Frame, since: int, until: int) -> Frame:
    """The rows with `since` <= time < `until` (ms), with the columns that have a value in them."""
    start, stop = map(int, np.searchsorted(frame.times, (since, until)))
    columns = {}
    for key, column in frame.columns.items():
        part = arrays.part(column, start, stop)
        if part is not None:
            columns[key] = part
    return Frame(frame.device_id, frame.times[start:stop], columns)
