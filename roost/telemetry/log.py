"""What the ingest path asks of the log, whichever database holds it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from roost.telemetry.decode import flatten
from roost.telemetry.messages import Message, Value

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary

_decode_document = msgspec.json.Decoder(dict[str, Any]).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode_units = msgspec.json.Decoder(dict[str, str]).decode


class LogUnavailable(Exception):  # noqa: N818 - it reads as what it says
    """The log cannot take or give messages at the moment; nothing of the call happened, or it is safe to repeat."""


class ArchiveUnavailable(LogUnavailable):
    """What the log no longer has is in the archive, which cannot be read at the moment."""


class Row(msgspec.Struct, gc=False):
    """A message as the log gives it back; times in milliseconds since 1970 UTC."""

    id: int
    device_id: int
    observed_at: int
    received_at: int
    event_type: str | None
    payload: bytes
    units: bytes | None
    message_id: str | None

    def document(self) -> dict[str, Any]:
        """An event's document as it was sent, otherwise the flat readings."""
        return _decode_document(self.payload)

    def readings(self) -> dict[str, Value]:
        document = _decode_document(self.payload)
        return document if self.event_type is None else flatten(document)

    def units_by_key(self) -> dict[str, str]:
        return _decode_units(self.units) if self.units else {}


class CoarseRow(NamedTuple):
    """Buckets of `width_ms` that begin from `start` to before `end` (ms): see `roost.telemetry.retention.coarse`."""

    width_ms: int
    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are wanted: `since` <= observed_at < `until` (ms), ids below `before_id`; None = any."""

    before_id: int | None = None
    since: int | None = None
    until: int | None = None
    event_type: str | None = None
    events_only: bool = False

    def conditions(self) -> list[tuple[str, object]]:
        """Column and operator with the value to compare to, for those that are set."""
        every = (
            ("id <", self.before_id),
            ("observed_at >=", self.since),
            ("observed_at <", self.until),
            ("event_type =", self.event_type),
        )
        return [(column, value) for column, value in every if value is not None]


ANY = MessageFilter()


class Readable(Protocol):
    """Where readings are asked for: the log, or the log with what is no longer in it."""

    def pieces(
        self,
        device_id: int,
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncIterator[Frame | Summary]":
        """Readings of one device with `since` <= observed_at < `until` (ms), oldest first, in bounded memory.

        Pieces do not overlap in time; a frame has 65,536 rows at most, unless a single moment has more. `keys` empty:
        all. Where `whole(start, end)` (ms, both included) is true, a summary of that stretch may come instead of it.
        Raises LogUnavailable.
        """

    def batches(
        self,
        device_ids: Sequence[int],
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncGenerator[list[Frame | Summary], None]":
        """The `pieces` of each of these devices, device after device, many pieces at a time.

        A batch is of one moment and fits into memory; it may be empty. Raises LogUnavailable.
        """


class Log(Readable, Protocol):
    """The durable log of messages. Reads see whatever an append has returned for."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        """Puts all messages on disk, together, and sets their ids; a resend of a known message id gets none.

        Raises:
            LogUnavailable: nothing may be acknowledged.
        """

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        """The last messages of these devices, newest arrival first."""

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        """Messages of one device with `since` <= observed_at < `until`, oldest first, at most `limit` of the newest."""

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        """What is left of a device's older readings as buckets, of which some begin in this time (ms), by `start`."""

    async def find(self, message_id: int) -> Row | None: ...

    async def delete_device(self, device_id: int) -> None: ...

    async def prune(self, before: int) -> int:
        """Deletes what was observed before `before`; the number of messages deleted."""

    async def size(self) -> tuple[int, int]:
        """Messages and bytes in the log."""


def has_own_time(row: Row) -> bool:
    """Whether the device said when: only then can a copy of the message be told from another one."""
    return row.observed_at != row.received_at


def mark_of(row: Row) -> tuple[int, int, str | None, bytes]:
    """What is equal in all copies of a message that has its own time; the order of its readings says nothing."""
    content = row.payload if row.event_type is not None else _encode_sorted(_decode_document(row.payload))
    return row.device_id, row.observed_at, row.event_type, content


def without_resends(rows: Iterable[Row]) -> list[Row]:
    """`rows` with each message that a device sent again, with its own time and the same content, once."""
    seen: set[tuple[int, int, str | None, bytes]] = set()
    kept = []
    for row in rows:
        if has_own_time(row):
            mark = mark_of(row)
            if mark in seen:
                continue
            seen.add(mark)
        kept.append(row)
    return kept
