"""How many messages a device may send, counted over all processes.

Nobody waits for the others: each says what it has let through, within the same turn of its event loop, and adds what
the others say. Two processes that are asked within the same few milliseconds may both say yes; the surplus is owed.
"""

import asyncio

import msgspec
from nats.aio.msg import Msg

from roost.core.clock import Clock
from roost.core.nats import RATES_SUBJECT, Nats
from roost.telemetry.limits import MessageRate

_decode = msgspec.msgpack.Decoder(tuple[str, dict[int, int]]).decode


class SharedRate:
    """Between this process's `rate` and those of the others."""

    def __init__(self, client: Nats, process: str, rate: MessageRate, clock: Clock) -> None:
        self._nats = client
        self._process = process
        self._rate = rate
        self._clock = clock

    async def start(self) -> None:
        await self._nats.listen(RATES_SUBJECT, self._on_taken)
        self._rate.share(self._tell_soon)

    def _tell_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._nats.tell_soon(RATES_SUBJECT, msgspec.msgpack.encode((self._process, self._rate.collect())))

    async def _on_taken(self, message: Msg) -> None:
        process, taken = _decode(message.data)
        if process != self._process:
            now_ms = self._clock.now_ms()
            for device_id, count in taken.items():
                self._rate.taken_elsewhere(device_id, count, now_ms)
