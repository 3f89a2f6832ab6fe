"""Which devices hold a connection to another process: their silence here means nothing."""

from collections.abc import Callable, Collection

import msgspec
from nats.aio.msg import Msg

from roost.core.nats import CONNECTED_SUBJECT, Nats

_ANSWERS_WITHIN_S = 0.5
_ASKED_AT_ONCE = 5_000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


class ConnectedElsewhere:
    """Asks the other processes, and answers them."""

    def __init__(self, client: Nats) -> None:
        self._nats = client
        self._holds: Callable[[int], bool] = lambda _device_id: False

    async def answer(self, holds: Callable[[int], bool]) -> None:
        """From now on, tell others for which devices `holds` is true."""
        self._holds = holds
        await self._nats.listen(CONNECTED_SUBJECT, self._on_question)

    async def among(self, device_ids: Collection[int]) -> set[int]:
        """Those of them that hold a connection to some process; all of them while nobody can be asked."""
        wanted = list(device_ids)
        if not self._nats.connected:
            return set(wanted)
        held: set[int] = set()

        async def on_answer(message: Msg) -> None:
            held.update(_decode(message.data))

        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            await self._nats.ask_all(
                CONNECTED_SUBJECT, _encode(wanted[start : start + _ASKED_AT_ONCE]), on_answer, _ANSWERS_WITHIN_S
            )
        return held if self._nats.connected else set(wanted)

    async def _on_question(self, message: Msg) -> None:
        held = [device_id for device_id in _decode(message.data) if self._holds(device_id)]
        if held:
            await self._nats.tell(message.reply, _encode(held))
