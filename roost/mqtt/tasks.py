"""Work for connected devices: what waits is leased and sent to them; what they hold is sent again when they return."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from roost.core.bus import Bus
from roost.core.tasks import end
from roost.devices.identity import DeviceIdentity
from roost.mqtt.ports import Heard
from roost.mqtt.topics import TASKS
from roost.tasks.leasing import Poll
from roost.tasks.messages import CHANGED
from roost.tasks.schemas import DEFAULT_CONTEXT, LeasedTask
from roost.tasks.service import Tasks
from roost.tasks.states import LONGEST_LEASE_S

# So many tasks a device may have at once without asking for them.
WINDOW = 16
VIA = "mqtt"
_GROUP = 500
_RETRY_S = 1.0
_STOP_PATIENCE_S = 5.0

_encode = msgspec.json.Encoder().encode
logger = logging.getLogger(__name__)


class Connections(Protocol):
    """`roost.mqtt.server.MqttServer`."""

    def device_listens(self, device_id: int, leaf: str) -> bool: ...

    def tell_device(self, device_id: int, leaf: str, payload: bytes) -> int: ...


class Cancelled(msgspec.Struct, gc=False):
    """On …/tasks, instead of a task: stop working on that one."""

    id: int
    status: str
    reason: str | None


class TaskFeed:
    """Leases for devices that listen to their tasks, many of them in one transaction."""

    def __init__(self, tasks: Tasks, bus: Bus) -> None:
        self._tasks = tasks
        self._connections: Connections | None = None
        self._waiting: dict[int, None] = {}
        self._fresh: dict[int, list[Heard]] = {}
        # What devices hold, as far as they got it here; and for whom more may wait than they may hold.
        self._held: dict[int, set[int]] = {}
        self._full: set[int] = set()
        self._wake = asyncio.Event()
        self._stopped = False
        self._worker: asyncio.Task[None] | None = None
        self._unsubscribe: list[Callable[[], None]] = [
            tasks.arrivals.listen(self._arrived),
            bus.subscribe(CHANGED, self._on_changed),
        ]

    def start(self, connections: Connections) -> None:
        self._connections = connections
        self._worker = asyncio.create_task(self._run(), name="task-feed")

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._stopped = True
        self._wake.set()
        if self._worker is not None:
            # Not in the middle of a question to the database.
            await asyncio.wait({self._worker}, timeout=_STOP_PATIENCE_S)
            await end(self._worker)

    async def subscribed(self, device: DeviceIdentity, listening: Heard) -> None:
        """The device is there: what it holds is sent once more, and what waits as far as there is room."""
        self._fresh.setdefault(device.device_id, []).append(listening)
        self._look(device.device_id)

    def _arrived(self, device_id: int) -> None:
        if self._listens(device_id):
            self._look(device_id)

    def _look(self, device_id: int) -> None:
        self._waiting[device_id] = None
        self._wake.set()

    def _listens(self, device_id: int) -> bool:
        return self._connections is not None and self._connections.device_listens(device_id, TASKS)

    def _tell(self, device_id: int, payload: bytes) -> None:
        if self._connections is not None:
            self._connections.tell_device(device_id, TASKS, payload)

    async def _run(self) -> None:
        while not self._stopped:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._stopped:
                some = list(self._waiting)[:_GROUP]
                for device_id in some:
                    del self._waiting[device_id]
                try:
                    await self._serve(some)
                except Exception as error:  # noqa: BLE001 - the devices wait until the database is back
                    logger.warning("work for devices has to wait for the database: %s", error)
                    self._waiting.update(dict.fromkeys(some))
                    await asyncio.sleep(_RETRY_S)

    async def _serve(self, device_ids: Sequence[int]) -> None:
        await self._send_held([device_id for device_id in device_ids if device_id in self._fresh])
        polls = []
        for device_id in device_ids:
            if not self._listens(device_id):
                self._forget(device_id)
                continue
            room = WINDOW - len(self._held.get(device_id, ()))
            if room > 0:
                polls.append(Poll(device_id, None, DEFAULT_CONTEXT, room, LONGEST_LEASE_S, VIA))
            else:
                # It came back with all that it may hold: there is more when one of them has ended.
                self._full.add(device_id)
        for poll, tasks in zip(polls, await self._tasks.hand_out(polls), strict=True):
            for task in tasks:
                self._send(poll.device_id, task)
            if len(tasks) == poll.limit:
                self._full.add(poll.device_id)
            else:
                self._full.discard(poll.device_id)

    async def _send_held(self, device_ids: Sequence[int]) -> None:
        if not device_ids:
            return
        held = await self._tasks.held(device_ids, VIA)
        for device_id in device_ids:
            tasks = held.get(device_id, [])
            self._held[device_id] = {task.id for task in tasks}
            for listening in self._fresh.pop(device_id, ()):
                for task in tasks:
                    listening.send(_payload(task), retain=False)

    def _send(self, device_id: int, task: LeasedTask) -> None:
        self._held.setdefault(device_id, set()).add(task.id)
        self._tell(device_id, _payload(task))

    def _forget(self, device_id: int) -> None:
        self._held.pop(device_id, None)
        self._fresh.pop(device_id, None)
        self._full.discard(device_id)

    def _on_changed(self, _subject: str, message: dict[str, Any]) -> None:
        for task in message["tasks"]:
            device_id = task["device_id"]
            if task["status"] == "leased" or not self._listens(device_id):
                continue
            if task["status"] == "cancelled" and task["attempt"]:
                self._tell(device_id, _encode(Cancelled(task["task_id"], "cancelled", task["reason"])))
            self._held.get(device_id, set()).discard(task["task_id"])
            if device_id in self._full:
                self._look(device_id)


def _payload(task: LeasedTask) -> bytes:
    return task.model_dump_json().encode()
