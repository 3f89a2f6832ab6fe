"""What store writers have stored, on its way to whoever listens in this process."""

import logging
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from roost.core.nats import COMMITTED_SUBJECT, Nats
from roost.telemetry.messages import Committed
from roost.telemetry.stream_format import decode_group

_MOST_WRITERS = 1_000

logger = logging.getLogger(__name__)


class CommittedFeed:
    """Hands over every group once, in the order of its writer; a group that NATS lost on the way is noticed."""

    def __init__(self, client: Nats, tell: Callable[[list[Committed]], None], missed: Callable[[], None]) -> None:
        """`missed` is told when groups are missing: what was concluded from those before no longer holds."""
        self._nats = client
        self._tell = tell
        self._missed = missed
        self._numbers: dict[str, int] = {}

    async def start(self) -> None:
        await self._nats.listen(COMMITTED_SUBJECT, self._on_group)
        self._nats.on_reconnect(self._missed)

    async def _on_group(self, message: Msg) -> None:
        try:
            writer, number, committed = decode_group(message.data)
        except msgspec.DecodeError as error:
            logger.warning("a committed group cannot be read; is another version running? %s", error)
            self._missed()
            return
        known = self._numbers.get(writer)
        if known is not None and number != known + 1:
            self._missed()
        if known is None and len(self._numbers) >= _MOST_WRITERS:
            del self._numbers[next(iter(self._numbers))]
        self._numbers[writer] = number
        self._tell(committed)
