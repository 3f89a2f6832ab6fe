"""What the hub has in memory of devices that are there, and of those that have just left."""

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from roost.core.clock import Clock, from_ms
from roost.devices.models import Device
from roost.devices.presence_record import OFFLINE, ONLINE, Cause, Change, News, Recorded, State, compare

NEVER_HEARD = "It has never been heard."
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class PresenceView:
    """A device's presence as others see it.

    `reason` is a sentence: what the hub goes by when it says online, and what went wrong when it says offline.
    """

    status: str
    last_seen_at: datetime | None
    since: datetime | None
    reason: str | None
    transports: tuple[str, ...] = ()
    cause: Cause | None = None


class PresenceMemory:
    """Who is there, by what the transports say. Nothing here waits: a change is only noted, for `Presence` to keep."""

    def __init__(self, clock: Clock, *, offline_after_s: float) -> None:
        self._clock = clock
        self._offline_after_s = offline_after_s
        self._offline_after_ms = int(offline_after_s * 1000)
        self._seen: dict[int, int] = {}
        self._present: dict[int, State] = {}
        # Devices that left, and when: what they sent before and is stored only now does not bring them back.
        self._left: dict[int, State] = {}
        self._changed: set[int] = set()

    # What the transports say.

    def seen(self, device_id: int, at_ms: int) -> None:
        """The device was heard. On the path of every message: two dictionary operations while it is there."""
        self._seen[device_id] = at_ms
        if device_id not in self._present:
            self._appear(device_id, at_ms)

    def connected(self, device_id: int, transport: str) -> None:
        """A connection of the device stands; it counts as there until the last one ends."""
        now_ms = self._clock.now_ms()
        self._left.pop(device_id, None)
        self.seen(device_id, now_ms)
        state = self._present[device_id]
        state.connections[transport] = state.connections.get(transport, 0) + 1
        # The same object for all of them: there may be a hundred thousand.
        state.reason = sys.intern(f"Connected over {_spoken(transport)}.")

    def disconnected(self, device_id: int, reason: str, transport: str = "mqtt", *, cause: Cause = "lost") -> None:
        """A connection ended; `reason` is a sentence for the device's owner."""
        if self._was_last_connection(device_id, transport):
            self._leave(device_id, reason, cause)

    def reported(self, device_id: int, status: str, detail: str | None) -> None:
        """The device says itself how it is: `online`, `offline` before it sleeps, `updating`, `error` and so on."""
        now_ms = self._clock.now_ms()
        reason = (detail or f"The device reported {status}.")[:LONGEST_REASON]
        if status == OFFLINE:
            self.seen(device_id, now_ms)
            self._leave(device_id, reason, "reported")
            return
        self._left.pop(device_id, None)
        self.seen(device_id, now_ms)
        state = self._present[device_id]
        if state.status != status:
            state.since_ms = now_ms
        elif state.reason == reason:
            return
        state.status, state.reason, state.told = status, reason, True
        self._change(device_id)

    def handed_over(self, device_id: int, transport: str) -> None:
        """Its connection is another process's now, which speaks for it from here on."""
        if self._was_last_connection(device_id, transport):
            del self._present[device_id]

    # What others ask.

    def holds(self, device_id: int) -> bool:
        """Whether a connection of the device stands here."""
        state = self._present.get(device_id)
        return state is not None and bool(state.connections)

    def view(self, device_id: int) -> PresenceView:
        """From memory alone: for a device that is not there, `offline` with what is still remembered."""
        state = self._present.get(device_id)
        if state is None:
            state = self._left.get(device_id)
        if state is None:
            return PresenceView(OFFLINE, None, None, None)
        last_seen_ms = max(state.last_seen_ms, self._seen.get(device_id, 0))
        return PresenceView(
            state.status,
            from_ms(last_seen_ms),
            from_ms(state.since_ms),
            state.reason,
            tuple(sorted(state.connections)),
            state.cause,
        )

    def view_of(self, device: Device) -> PresenceView:
        """The device's row, with what memory knows better."""
        if device.id in self._present or device.id in self._left:
            view = self.view(device.id)
            if device.status == view.status and device.status_since is not None:
                return replace(view, since=device.status_since)
            return view
        reason, cause = device.status_reason, device.status_cause
        if device.last_seen_at is None and reason is None:
            reason, cause = NEVER_HEARD, "never_heard"
        since = device.status_since
        return PresenceView(device.status, device.last_seen_at, since, reason, cause=cast("Cause | None", cause))

    # What follows.

    def _was_last_connection(self, device_id: int, transport: str) -> bool:
        """Take one connection off; whether the device is there and has none now."""
        state = self._present.get(device_id)
        if state is None:
            return False
        left = state.connections.pop(transport, 0) - 1
        if left > 0:
            state.connections[transport] = left
        return not state.connections

    def _appear(self, device_id: int, at_ms: int) -> None:
        left = self._left.get(device_id)
        if left is not None:
            if at_ms <= left.since_ms:
                return
            del self._left[device_id]
        self._present[device_id] = State(ONLINE, at_ms, "It is sending.", at_ms)
        self._change(device_id)

    def _leave(self, device_id: int, reason: str, cause: Cause) -> None:
        state = self._present.pop(device_id, None)
        if state is None:
            return
        state.last_seen_ms = max(state.last_seen_ms, self._seen.get(device_id, 0))
        state.status, state.reason, state.since_ms = OFFLINE, reason[:LONGEST_REASON], self._clock.now_ms()
        state.cause, state.told = cause, False
        state.connections.clear()
        self._left[device_id] = state
        self._change(device_id)

    def _change(self, device_id: int) -> None:
        self._changed.add(device_id)

    def _forget(self, device_id: int) -> None:
        self._seen.pop(device_id, None)
        self._present.pop(device_id, None)
        self._left.pop(device_id, None)
        self._changed.discard(device_id)

    def _compare(self, device_id: int, status: str) -> None:
        """Another process may have said something else about a device that this one hears."""
        state = self._present.get(device_id)
        if state is not None and state.status != status:
            self._change(device_id)
        elif state is None and status != OFFLINE and device_id not in self._changed:
            self._left.pop(device_id, None)

    def _change_of(self, recorded: Recorded) -> Change | None:
        device_id = recorded.device_id
        state = self._present.get(device_id) or self._left.get(device_id)
        if state is None:
            return None
        news = compare(state, recorded, self._clock.now_ms() - self._offline_after_ms)
        stands = state.status == recorded.status != OFFLINE
        if (stands or news is News.ADOPT) and recorded.since_ms is not None:
            state.since_ms = recorded.since_ms
        if news is News.ADOPT:
            self._left.pop(device_id, None)
            self._present[device_id] = state
            state.status, state.reason, state.cause = recorded.status, recorded.reason, recorded.cause
            state.last_seen_ms = max(state.last_seen_ms, recorded.last_seen_ms)
        if news is not News.WRITE:
            return None
        last_seen_ms = max(state.last_seen_ms, self._seen.get(device_id, 0), recorded.last_seen_ms)
        return Change(recorded, state.status, state.since_ms, state.reason, state.cause, last_seen_ms)

    def _silent(self, now_ms: int) -> list[int]:
        silent_since_ms = now_ms - self._offline_after_ms
        return [
            device_id
            for device_id, state in self._present.items()
            if not state.connections
            and max(state.last_seen_ms, state.judged_from_ms, self._seen.get(device_id, 0)) < silent_since_ms
        ]

    def _retire_silent(self, now_ms: int) -> None:
        silent_since_ms = now_ms - self._offline_after_ms
        for device_id in self._silent(now_ms):
            self._leave(device_id, f"Nothing was heard from it for {self._offline_after_s:g} s.", "silent")
        for device_id, state in list(self._left.items()):
            if state.since_ms < silent_since_ms and device_id not in self._changed:
                del self._left[device_id]


def _spoken(transport: str) -> str:
    return {"mqtt": "MQTT", "http": "HTTP", "ws": "WebSocket"}.get(transport, transport)
