"""Whether a device is there, since when, and if not, why."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import SQLAlchemyError

from roost.core.bus import Bus
from roost.core.clock import Clock, from_ms
from roost.core.database import Database
from roost.devices.messages import ENDING_EVENTS, STATUS_CHANGED
from roost.devices.models import Device
from roost.devices.presence_record import (
    OFFLINE,
    ONLINE,
    Cause,
    Change,
    News,
    Recorded,
    State,
    compare,
    find_present,
    find_recorded,
    write_changes,
    write_seen,
)

if TYPE_CHECKING:
    from roost.devices.elsewhere import ConnectedElsewhere

NEVER_HEARD = "It has never been heard."
LONGEST_REASON = 200

_FLUSH_INTERVAL_S = 15.0
# Changes that come together are written together; nobody sees a fiftieth of a second.
_GATHER_S = 0.02
_RETRY_S = 2.0
_STOP_PATIENCE_S = 5.0
_CHUNK = 500

logger = logging.getLogger(__name__)


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


class Presence:
    """Presence lives in memory and is written down when it changes; `last_seen_at` follows every 15 s.

    Only devices that are there have a state here; the table knows the rest. With several processes on one database,
    each judges the devices that it hears itself, and the table's `last_seen_at` keeps one process from declaring a
    device gone that talks to another.
    """

    def __init__(self, database: Database, clock: Clock, bus: Bus, *, offline_after_s: float) -> None:
        self._database = database
        self._clock = clock
        self._offline_after_s = offline_after_s
        self._offline_after_ms = int(offline_after_s * 1000)
        self._seen: dict[int, int] = {}
        self._present: dict[int, State] = {}
        # Devices that left, and when: what they sent before and is stored only now does not bring them back.
        self._left: dict[int, State] = {}
        self._changed: set[int] = set()
        self._elsewhere: ConnectedElsewhere | None = None
        self._wake = asyncio.Event()
        # One of the tasks behind is at the database.
        self._writing = asyncio.Lock()
        self._committing = False
        self._settled: list[asyncio.Future[None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] = bus.subscribe("device.", self._on_event)

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
        state = self._present.get(device_id)
        if state is None:
            return
        left = state.connections.get(transport, 0) - 1
        if left > 0:
            state.connections[transport] = left
        else:
            state.connections.pop(transport, None)
        if not state.connections:
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
        state = self._present.get(device_id)
        if state is None:
            return
        left = state.connections.pop(transport, 0) - 1
        if left > 0:
            state.connections[transport] = left
        elif not state.connections:
            del self._present[device_id]

    # What others ask.

    def share(self, elsewhere: "ConnectedElsewhere") -> None:
        """Be one of several processes: who holds a connection to another one is not silent."""
        self._elsewhere = elsewhere

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

    async def settled(self) -> None:
        """Return when every change so far is in the database and published; at once when there is none.

        Raises what the database said when it did not take them. Do not wait for it inside a write session.
        """
        if self._changed or self._committing:
            future = asyncio.get_running_loop().create_future()
            self._settled.append(future)
            self._wake.set()
            await future

    # The tasks behind.

    async def start(self) -> None:
        """Take up the devices that were there when the hub stopped: each has the usual time to be heard again."""
        now_ms = self._clock.now_ms()
        async with self._database.read() as session:
            recorded = await find_present(session)
        for one in recorded:
            since_ms = now_ms if one.since_ms is None else one.since_ms
            self._present[one.device_id] = State(one.status, since_ms, one.reason, one.last_seen_ms, now_ms)
        self._tasks = [
            asyncio.create_task(self._write_changes(), name="presence-changes"),
            asyncio.create_task(self._watch(), name="presence-watch"),
        ]

    async def stop(self) -> None:
        """Write down what is known. Nobody is declared gone: a restart takes seconds."""
        self._unsubscribe()
        # Not in the middle of a transaction: SQLite would stay locked for the last one.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE_S), self._writing:
                await self._end_tasks()
        await self._end_tasks()
        try:
            await self._commit_changes()
            await self._flush_seen()
        except (SQLAlchemyError, OSError) as error:
            logger.warning("The devices' last presence could not be written: %s", error)
        for future in self._settled:
            future.cancel()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _on_event(self, subject: str, message: dict[str, Any]) -> None:
        device_id = message["device_id"]
        if subject == STATUS_CHANGED:
            self._compare(device_id, message["status"])
        elif subject in ENDING_EVENTS:
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
        self._wake.set()

    async def _write_changes(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._settled:
                await asyncio.sleep(_GATHER_S)
            try:
                async with self._writing:
                    await self._commit_changes()
            except Exception as error:  # noqa: BLE001 - the database may be away for a while; presence goes on
                logger.warning("Presence changes wait, the database did not take them: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _commit_changes(self) -> None:
        waiting, self._settled = self._settled, []
        self._committing = True
        try:
            while self._changed:
                chunk = [self._changed.pop() for _ in range(min(len(self._changed), _CHUNK))]
                try:
                    await self._commit_chunk(chunk)
                except BaseException:
                    self._changed.update(chunk)
                    raise
        except Exception as error:
            # The change itself waits for the database; whoever waits for the change need not.
            _settle(waiting, error)
            raise
        finally:
            self._committing = False
        _settle(waiting, None)

    async def _commit_chunk(self, device_ids: list[int]) -> None:
        async with self._database.write() as session:
            rows = await find_recorded(session, device_ids)
            changes = [change for recorded in rows if (change := self._change_of(recorded))]
            await write_changes(session, changes)
        for device_id in set(device_ids) - {recorded.device_id for recorded in rows}:
            self._present.pop(device_id, None)
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

    async def _watch(self) -> None:
        """Every few seconds: who fell silent; every 15: when each was last seen."""
        flush_at = self._clock.monotonic() + _FLUSH_INTERVAL_S
        while True:
            await asyncio.sleep(min(5.0, self._offline_after_s / 4))
            await self._leave_held_elsewhere()
            self._retire_silent(self._clock.now_ms())
            if self._clock.monotonic() < flush_at:
                continue
            flush_at = self._clock.monotonic() + _FLUSH_INTERVAL_S
            try:
                async with self._writing:
                    await self._flush_seen()
                if self._elsewhere is not None:
                    await self._take_up_left_behind()
            except Exception as error:  # noqa: BLE001 - tried again with the next flush
                logger.warning("When devices were last seen could not be written: %s", error)

    async def _leave_held_elsewhere(self) -> None:
        """Leave the silent devices that are connected to another process to that process."""
        if self._elsewhere is None or not (silent := self._silent(self._clock.now_ms())):
            return
        for device_id in await self._elsewhere.among(silent):
            state = self._present.get(device_id)
            if state is not None and not state.connections:
                del self._present[device_id]

    async def _take_up_left_behind(self) -> None:
        """Judge also the devices of a process that was killed: nobody else has them in memory any more."""
        silent_since_ms = self._clock.now_ms() - self._offline_after_ms - int(2 * _FLUSH_INTERVAL_S * 1000)
        async with self._database.read() as session:
            recorded = await find_present(session, silent_since_ms)
        for one in recorded:
            if one.device_id not in self._present and one.device_id not in self._left:
                since_ms = one.last_seen_ms if one.since_ms is None else one.since_ms
                self._present[one.device_id] = State(one.status, since_ms, one.reason, one.last_seen_ms)

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

    async def _flush_seen(self) -> None:
        seen, self._seen = self._seen, {}
        for device_id, at_ms in seen.items():
            state = self._present.get(device_id) or self._left.get(device_id)
            if state is not None and at_ms > state.last_seen_ms:
                state.last_seen_ms = at_ms
        # In the order of ids, as every other writer of these rows, so that none waits for another in a circle.
        rows = sorted(seen.items())
        try:
            for start in range(0, len(rows), _CHUNK):
                async with self._database.write() as session:
                    await write_seen(session, rows[start : start + _CHUNK])
        except Exception:
            for device_id, at_ms in seen.items():
                self._seen.setdefault(device_id, at_ms)
            raise


def _settle(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _spoken(transport: str) -> str:
    return {"mqtt": "MQTT", "http": "HTTP", "ws": "WebSocket"}.get(transport, transport)
