"""The one way in: identify (done by the caller) → limit → decode → batch → append → acknowledge.

Messages of all connections are gathered while the previous commit runs and are committed together; only then is
anyone told. What is refused is told in the same order, through the same queue.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from roost.core.clock import Clock
from roost.core.disk import DiskGuard
from roost.devices.identity import DeviceIdentity
from roost.telemetry.decode import decode
from roost.telemetry.limits import MessageRate
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.messages import Committed, Message
from roost.telemetry.refusals import Refusal, disk_full, unavailable
from roost.telemetry.thingsboard import KIND as THINGSBOARD
from roost.telemetry.thingsboard import decode_values

logger = logging.getLogger(__name__)

GROUP_MESSAGES = 2_000
# Beyond this much in memory, connections are no longer read until the log has caught up.
FULL_MESSAGES = 20_000
FULL_BYTES = 32 * 1024 * 1024
# A request may wait this long for room before it is told to come back.
ROOM_TIMEOUT_S = 5.0


class Sink(Protocol):
    """Who waits for the answer to a message: a connection or a request."""

    def settle(self, token: object, refusal: Refusal | None) -> None:
        """The message handed in with `token` is on disk, or is refused; told once, in the order of submission."""

    def flush(self) -> None:
        """A group of answers is complete: send them."""


class Entry(msgspec.Struct, gc=False):
    device: DeviceIdentity
    messages: list[Message]
    sink: Sink
    token: object
    refusal: Refusal | None
    weight: int
    size: int


class Accepted(NamedTuple):
    """What became of a request: the messages with their ids; 0 for a resend that the hub already had."""

    messages: list[Message]


class Handled(NamedTuple):
    """What became of a group: `began_ns` (since 1970) and `took_s` are those of its commit; 0 when it needed none."""

    stored: int
    refused: int
    began_ns: int
    took_s: float
    failed: bool


class Ingest:
    def __init__(
        self,
        log: Log,
        clock: Clock,
        rate_per_minute: int,
        seen: Callable[[int, int], None] = lambda *_: None,
        *,
        queues: bool = False,
        disk: DiskGuard | None = None,
    ) -> None:
        """`seen(device_id, now_ms)` is told of every message, accepted or not: the device is alive.

        `queues`: the log only queues; what is stored is told (`tell`) by whoever stores it. `disk`: while it is full,
        everything is refused.
        """
        self.queues = queues
        self.rate = MessageRate(rate_per_minute)
        self.accepted_total = 0
        self.refused_total = 0
        self.refused_by_code: dict[str, int] = {}
        self._log = log
        self._disk = disk
        self._now_ms = clock.now_ms
        self._seen = seen
        self._queue: deque[Entry] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._work = asyncio.Event()
        self._room: list[Callable[[], None]] = []
        self._listeners: list[Callable[[list[Committed]], None]] = []
        self._watchers: list[Callable[[Handled], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._away = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="telemetry-ingest")

    async def stop(self) -> None:
        """Commits what is waiting, answers it, and ends."""
        if self._task is not None:
            self._stopping = True
            self._work.set()
            await self._task
            self._task = None

    @property
    def full(self) -> bool:
        return self._waiting >= FULL_MESSAGES or self._waiting_bytes >= FULL_BYTES

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages, and bytes of them, that have been taken and wait for their commit."""
        return self._waiting, self._waiting_bytes

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, as soon as messages are welcome again."""
        self._room.append(callback)
        self._work.set()

    def subscribe(self, listener: Callable[[list[Committed]], None]) -> Callable[[], None]:
        """Hands every committed group to `listener`, on the event loop; returns how to end it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def watch(self, watcher: Callable[[Handled], None]) -> Callable[[], None]:
        """Tells `watcher` of every group once it is answered; returns how to end it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def submit(self, device: DeviceIdentity, kind: str, body: bytes, sink: Sink, token: object) -> None:
        """Takes one request or PUBLISH; the answer comes to `sink`. Never blocks, never raises on bad input."""
        now = self._now_ms()
        device_id = device.device_id
        self._seen(device_id, now)
        refusal = self.rate.take(device_id, now)
        messages: list[Message] = []
        if refusal is None:
            try:
                messages = decode_values(body, now) if kind == THINGSBOARD else decode(kind, body, now)
            except Refusal as error:
                refusal = error
        weight = len(messages) or 1
        self._queue.append(Entry(device, messages, sink, token, refusal, weight, len(body)))
        self._waiting += weight
        self._waiting_bytes += len(body)
        if not self._work.is_set():
            self._work.set()

    async def accept(self, device: DeviceIdentity, kind: str, body: bytes) -> Accepted:
        """The same for one who can wait.

        Raises:
            Refusal: nothing was stored, and why.
        """
        if self.full:
            await self._wait_for_room()
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self.submit(device, kind, body, waiter, waiter)
        entry = self._queue[-1]
        await waiter.done
        return Accepted(entry.messages)

    async def _wait_for_room(self) -> None:
        room = asyncio.Event()
        self.when_room(room.set)
        try:
            await asyncio.wait_for(room.wait(), ROOM_TIMEOUT_S)
        except TimeoutError:
            raise unavailable("The hub has more messages than it can store at the moment.") from None

    async def _run(self) -> None:
        while not self._stopping or self._queue:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                await self._commit_group(self._take_group())
                self._make_room()
            self._make_room()

    def _take_group(self) -> list[Entry]:
        group: list[Entry] = []
        count = 0
        while self._queue and count < GROUP_MESSAGES:
            entry = self._queue.popleft()
            group.append(entry)
            count += entry.weight
        return group

    async def _commit_group(self, group: list[Entry]) -> None:
        device_ids: list[int] = []
        messages: list[Message] = []
        for entry in group:
            for message in entry.messages:
                device_ids.append(entry.device.device_id)
                messages.append(message)
        failure, began_ns, took_s = None, 0, 0.0
        if messages:
            began_ns, began = time.time_ns(), time.perf_counter()
            failure = await self._append(device_ids, messages)
            took_s = time.perf_counter() - began
        refused = self._answer(group, failure)
        for watcher in self._watchers:
            watcher(Handled(0 if failure else len(messages), refused, began_ns, took_s, failure is not None))
        if failure is None:
            self.accepted_total += len(messages)
            self._publish(group)

    async def _append(self, device_ids: list[int], messages: list[Message]) -> Refusal | None:
        if self._disk is not None and self._disk.is_full:
            return disk_full()
        try:
            await self._log.append(device_ids, messages)
        except LogUnavailable as error:
            # Once an outage: during it there may be a hundred groups a second.
            if not self._away:
                logger.warning("telemetry is not being stored: %s", error)
            self._away = True
        except Exception:
            logger.exception("telemetry could not be stored")
        else:
            if self._away:
                logger.info("telemetry is being stored again")
            self._away = False
            return None
        return unavailable("The hub cannot store messages at the moment; nothing of this was stored.")

    def _answer(self, group: list[Entry], failure: Refusal | None) -> int:
        """Tells everybody what became of their messages; how many were refused."""
        refused = 0
        sinks: dict[int, Sink] = {}
        for entry in group:
            self._waiting -= entry.weight
            self._waiting_bytes -= entry.size
            refusal = entry.refusal or failure
            if refusal is not None:
                refused += 1
                self.refused_by_code[refusal.code] = self.refused_by_code.get(refusal.code, 0) + 1
            sink = entry.sink
            sink.settle(entry.token, refusal)
            sinks[id(sink)] = sink
        for sink in sinks.values():
            sink.flush()
        self.refused_total += refused
        return refused

    def _publish(self, group: list[Entry]) -> None:
        if not self._listeners:
            return
        committed = [Committed(entry.device, message) for entry in group for message in entry.messages if message.id]
        if committed:
            self.tell(committed)

    def tell(self, committed: list[Committed]) -> None:
        """Hands a group that is stored to every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(committed)
            except Exception:
                logger.exception("a listener of committed telemetry failed")

    def _make_room(self) -> None:
        if self._room and not self.full:
            callbacks, self._room = self._room, []
            for callback in callbacks:
                callback()


class _Waiter:
    """One request that waits for its answer."""

    __slots__ = ("done",)

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done

    def settle(self, token: object, refusal: Refusal | None) -> None:  # noqa: ARG002 - a request is one message
        if self.done.done():
            return  # the client went away
        if refusal is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(refusal)

    def flush(self) -> None:
        return None
