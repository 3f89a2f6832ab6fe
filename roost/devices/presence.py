"""Whether a device is there, since when, and if not, why."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.messages import ENDING_EVENTS, STATUS_CHANGED
from roost.devices.presence_memory import PresenceMemory
from roost.devices.presence_record import State, find_present, find_recorded, write_changes, write_seen

if TYPE_CHECKING:
    from roost.devices.elsewhere import ConnectedElsewhere

_FLUSH_INTERVAL_S = 15.0
# Changes that come together are written together; nobody sees a fiftieth of a second.
_GATHER_S = 0.02
_RETRY_S = 2.0
_STOP_PATIENCE_S = 5.0
_CHUNK = 500

logger = logging.getLogger(__name__)


class Presence(PresenceMemory):
    """Presence lives in memory and is written down when it changes; `last_seen_at` follows every 15 s.

    Only devices that are there have a state here; the table knows the rest. With several processes on one database,
    each judges the devices that it hears itself, and the table's `last_seen_at` keeps one process from declaring a
    device gone that talks to another.
    """

    def __init__(self, database: Database, clock: Clock, bus: Bus, *, offline_after_s: float) -> None:
        super().__init__(clock, offline_after_s=offline_after_s)
        self._database = database
        self._elsewhere: ConnectedElsewhere | None = None
        self._wake = asyncio.Event()
        # One of the tasks behind is at the database.
        self._writing = asyncio.Lock()
        self._committing = False
        self._settled: list[asyncio.Future[None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] = bus.subscribe("device.", self._on_event)

    def share(self, elsewhere: "ConnectedElsewhere") -> None:
        """Be one of several processes: who holds a connection to another one is not silent."""
        self._elsewhere = elsewhere

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
            self._forget(device_id)

    def _change(self, device_id: int) -> None:
        super()._change(device_id)
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
