"""Who waits for work, and what wakes them. Nothing here awaits."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from roost.core.bus import Bus
from roost.devices.messages import ENDING_EVENTS, TOKEN_REVOKED
from roost.tasks.messages import CHANGED, DUE

_REVOKING = ENDING_EVENTS | {TOKEN_REVOKED}


class Wait:
    """One long poll. `arrived` is set whenever there may be something; whoever looks clears it first."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        # The hub goes down, or the token with which it was begun is good no more: nothing is to be given out.
        self.over = False

    def end(self) -> None:
        self.over = True
        self.arrived.set()


class Arrivals:
    """Long polls by device, and listeners for all devices."""

    def __init__(self, bus: Bus) -> None:
        self._waiting: dict[int, set[Wait]] = {}
        self._listeners: list[Callable[[int], None]] = []
        self.closed = False
        self._unsubscribe = [
            bus.subscribe(CHANGED, self._on_changed),
            bus.subscribe(DUE, self._on_due),
            bus.subscribe("device.", self._on_device),
        ]

    def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def close(self) -> None:
        """Let every long poll answer now, and no other wait: the hub is going down."""
        self.closed = True
        for waits in self._waiting.values():
            for wait in waits:
                wait.end()

    @contextmanager
    def waiting(self, device_id: int) -> Iterator[Wait]:
        """A long poll of the device, from now until the end of the block."""
        wait = Wait()
        wait.over = self.closed
        self._waiting.setdefault(device_id, set()).add(wait)
        try:
            yield wait
        finally:
            waits = self._waiting[device_id]
            waits.discard(wait)
            if not waits:
                del self._waiting[device_id]

    def listen(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener(device_id)` likewise, for every device; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _arrived(self, device_id: int) -> None:
        for wait in self._waiting.get(device_id, ()):
            wait.arrived.set()
        for listener in self._listeners:
            listener(device_id)

    def _on_changed(self, _subject: str, message: dict[str, Any]) -> None:
        for task in message["tasks"]:
            if task["status"] == "queued":
                self._arrived(task["device_id"])

    def _on_due(self, _subject: str, message: dict[str, Any]) -> None:
        for device_id in message["device_ids"]:
            self._arrived(device_id)

    def _on_device(self, subject: str, message: dict[str, Any]) -> None:
        if subject in _REVOKING:
            for wait in self._waiting.get(message["device_id"], ()):
                wait.end()
