"""A block as a reader meets it, whatever database keeps it: decoded only as far as it is asked for."""

import logging
from collections.abc import Sequence
from typing import Any

from roost.telemetry.blocks.codec import DamagedBlock, decode, decode_frame
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.blocks.summaries import decode_summary
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import LogUnavailable

logger = logging.getLogger(__name__)


class SealedBlock:
    """A block from its first to its last moment (ms, both included), of which the summary is known.

    Its `data` is put there before it is decoded. `meta` is its row in the table, which has `device_id` and `name`.
    `summed`: whether the summary is enough of it, unless something of the block is not wanted or not in it.
    """

    __slots__ = ("_keys", "_summary", "data", "end", "meta", "rows", "start", "summed")

    def __init__(self, meta: Any, summary: bytes, keys: Sequence[str]) -> None:
        self.start: int = meta.start
        self.end: int = meta.end
        self.rows: int = meta.rows
        self.meta = meta
        self.data = b""
        self.summed = False
        self._summary = summary
        self._keys = keys

    def summary(self) -> Summary:
        """Of the series that were asked for."""
        try:
            return decode_summary(self.meta.device_id, self.start, self.end, self._summary, self._keys)
        except DamagedBlock as error:
            raise unreadable(self.meta.name, error) from error

    def frame(self) -> Frame:
        """The readings of the series that were asked for; without a row where there are none."""
        try:
            return decode_frame(self.meta.device_id, self.data, self._keys)
        except DamagedBlock as error:
            raise unreadable(self.meta.name, error) from error

    def stretch(self) -> Stretch:
        """All there is, so that late messages can be put between."""
        return decoded(self.meta.device_id, self.data, self.meta.name)


def decoded(device_id: int, data: bytes, name: str) -> Stretch:
    """Raises LogUnavailable naming the block when its bytes are damaged."""
    try:
        return decode(device_id, data)
    except DamagedBlock as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: DamagedBlock) -> LogUnavailable:
    """What is raised for a damaged block, once it is written into the server's log."""
    message = f"{name} cannot be read: {error}"
    logger.error("%s See `roost telemetry verify`.", message)
    return LogUnavailable(message)
