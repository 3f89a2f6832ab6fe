"""From the broker's messages into the telemetry path, and the acknowledgements back when they are on disk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from roost.bridges.config import BridgeConfig
from roost.bridges.devices import HeardDevices, NoDevice
from roost.bridges.mapping import Unmappable, map_message
from roost.bridges.standing import Standing
from roost.devices.identity import DeviceIdentity
from roost.telemetry.ingest import Ingest
from roost.telemetry.refusals import Refusal


class Incoming(NamedTuple):
    """A message of the broker; `packet_id` is 0 for one that nobody acknowledges."""

    topic: str
    payload: bytes
    packet_id: int


@dataclass(slots=True, eq=False)
class _Waiting:
    device: DeviceIdentity
    body: bytes
    packet_id: int


class BridgeIntake:
    """One connection's messages. What is not acknowledged when the connection ends, the broker sends again."""

    def __init__(
        self,
        config: BridgeConfig,
        ingest: Ingest,
        *,
        devices: HeardDevices,
        standing: Standing,
        write_log: Callable[[int, str, str], object],
        acknowledge: Callable[[int], None],
    ) -> None:
        """`write_log(device id, level, sentence)` is a line for the device's owner."""
        self.unanswered = 0
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with a sentence, when messages cannot be stored: nothing more may be taken."""
        self._config = config
        self._ingest = ingest
        self._devices = devices
        self._standing = standing
        self._write_log = write_log
        self._acknowledge = acknowledge
        self._due: list[int] = []
        self._again: dict[_Waiting, asyncio.TimerHandle] = {}
        self._closed = False

    async def take(self, message: Incoming) -> None:
        """Hand one message on. Errors of the database pass through."""
        while self._ingest.full and not self.failed.done():
            room = asyncio.Event()
            self._ingest.when_room(room.set)
            await room.wait()
        if self.failed.done():
            return
        try:
            mapped = map_message(self._config.sources, message.topic, message.payload)
            device = await self._devices.find(mapped.device_uid)
        except (Unmappable, NoDevice) as error:
            # Sent again it would be no better.
            self._standing.note_problem(f"{message.topic[:120]}: {error}")
            self.settle_at_once(message.packet_id)
            return
        self.unanswered += 1
        self._submit(_Waiting(device, mapped.body, message.packet_id))

    def settle_at_once(self, packet_id: int) -> None:
        """Acknowledge what goes nowhere."""
        if packet_id and not self._closed:
            self._acknowledge(packet_id)

    def close(self) -> None:
        """The connection is over: nothing may be acknowledged on the next one."""
        self._closed = True
        for timer in self._again.values():
            timer.cancel()
        self._again.clear()

    # The telemetry path's answers.

    def settle(self, token: object, refusal: Refusal | None) -> None:
        """One message is on disk, or refused."""
        assert isinstance(token, _Waiting), "it is what was handed in"  # noqa: S101
        if refusal is None:
            self._answered(token)
        elif refusal.status == 429:
            # Acknowledged it would be lost: the broker keeps the rest until there is room.
            wait_s = refusal.retry_after_s or 1
            if not self._closed:
                self._again[token] = asyncio.get_running_loop().call_later(wait_s, self._submit_again, token)
        elif refusal.permanent:
            self._standing.note_problem(f"{token.device.device_uid}: {refusal.detail}")
            self._write_log(token.device.device_id, "warning", f"A message was refused. {refusal.detail}")
            self._answered(token)
        elif not self.failed.done():
            self.failed.set_result(refusal.detail)

    def flush(self) -> None:
        """A group of answers is complete."""
        due, self._due = self._due, []
        if not self._closed and not self.failed.done():
            for packet_id in due:
                self._acknowledge(packet_id)

    def _answered(self, waiting: _Waiting) -> None:
        self.unanswered -= 1
        if waiting.packet_id:
            self._due.append(waiting.packet_id)

    def _submit_again(self, waiting: _Waiting) -> None:
        self._again.pop(waiting, None)
        self._submit(waiting)

    def _submit(self, waiting: _Waiting) -> None:
        self._ingest.submit(waiting.device, "telemetry", waiting.body, self, waiting)
