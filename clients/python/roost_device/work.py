"""Runs tasks: one after the other, each under its lease, each with one outcome."""

import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from roost_device.backoff import Backoff
from roost_device.errors import NotNow, Refused, TokenRefused
from roost_device.hub import Hub
from roost_device.journal import Entry, Journal
from roost_device.sending import TOKEN_REFUSED_PAUSE_S
from roost_device.tasks import Skill, Task, TaskFailed

LEASE_S = 60
POLL_WAIT_S = 50
LARGEST_RESULT_BYTES = 16 * 1024
_GRACE_S = 15.0
_REMEMBERED = 1000
_LOOK_EVERY_S = 1.0
_INTERRUPTED = "The device restarted while it was doing this, so it cannot say whether it was done."

_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where leased tasks come from."""

    def take(self) -> list[dict[str, Any]]:
        """Some tasks; empty after a while without any. Raises NotNow, Refused."""


class Poll:
    """Long polls over HTTP."""

    def __init__(self, hub: Hub, context_key: str, lease_s: int = LEASE_S) -> None:
        self._hub = hub
        self._path = f"/tasks/poll?limit=1&context_key={context_key}&lease_seconds={lease_s}&wait={POLL_WAIT_S}"

    def take(self) -> list[dict[str, Any]]:
        """See Source."""
        _, leased = self._hub.call("POST", self._path, timeout_s=POLL_WAIT_S + _GRACE_S)
        return list(leased or [])


class Pushed:
    """What came over MQTT. The hub sends it again after a reconnect, until it has an outcome."""

    def __init__(self) -> None:
        self._came: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def put(self, document: dict[str, Any]) -> None:
        """A leased task has come."""
        self._came.put(document)

    def take(self) -> list[dict[str, Any]]:
        """See Source."""
        try:
            return [self._came.get(timeout=_LOOK_EVERY_S)]
        except queue.Empty:
            return []


class Held:
    """A task that this device holds a lease of, and until when."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.lease_token = str(document.get("lease_token") or "")
        self.cancelled = threading.Event()
        self.extend_at = 0.0
        self.extended(float(document.get("lease_seconds") or LEASE_S))

    def extended(self, lease_s: float) -> None:
        """A third of the lease later there is time for two more tries."""
        self.extend_at = time.monotonic() + lease_s / 3


class Worker:
    """Takes tasks from a source and runs them with `skills`, by type. `context_key` names this program among others on
    the device. `run()` and `keep_leases()` are two threads' work; both end when `stopped` is set."""

    def __init__(
        self,
        hub: Hub,
        journal: Journal,
        source: Source,
        skills: Mapping[str, Skill],
        stopped: threading.Event,
        *,
        context_key: str = "default",
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._source = source
        self._skills = skills
        self._stopped = stopped
        self._context_key = context_key
        self._backoff = Backoff(longest_s=60.0)
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self._ended: dict[tuple[int, str], None] = {}

    def run(self) -> None:
        """First what an earlier run of the program left open, then what comes."""
        self._insist(self._introduce)
        while not self._stopped.is_set():
            try:
                for entry in self._journal.open():
                    self._work(entry.document, entry)
                self._work_on()
            except sqlite3.Error as error:
                # A task that cannot be noted is not begun. Its lease ends, and it comes again.
                _log.error("The disk does not work, so no task is done: %s", error)
                self._stopped.wait(self._backoff.pause_s())

    def cancel(self, task_id: int) -> None:
        """The hub says that nobody wants this task any more."""
        with self._lock:
            held = self._held.get(task_id)
        if held is not None:
            held.cancelled.set()

    def keep_leases(self) -> None:
        """Extend the leases of what runs."""
        while not self._stopped.wait(_LOOK_EVERY_S):
            with self._lock:
                due = [(number, held) for number, held in self._held.items() if time.monotonic() >= held.extend_at]
            for task_id, held in due:
                self._report(task_id, held, "extend", {})

    def progress(self, task_id: int, percent: float | None, note: str | None) -> None:
        """See tasks.Reporter."""
        with self._lock:
            held = self._held.get(task_id)
        if held is not None:
            said = {"percent": percent, "note": note}
            self._report(task_id, held, "progress", {key: value for key, value in said.items() if value is not None})

    def remember(self, task_id: int, memory: dict[str, Any]) -> None:
        """See tasks.Reporter."""
        self._journal.remember(task_id, memory)

    def _work_on(self) -> None:
        while not self._stopped.is_set():
            for document in self._insist(self._source.take) or []:
                # Over MQTT a task comes again after a reconnect, perhaps while it is on its way to its end here.
                if _lease(document) not in self._ended:
                    self._work(document, self._journal.begin(document))

    def _introduce(self) -> None:
        said = {"context_key": self._context_key, "capabilities": {"tasks": sorted(self._skills)}}
        self._hub.call("POST", "/tasks/context/heartbeat", said)

    def _work(self, document: dict[str, Any], before: Entry | None) -> None:
        task_id = int(document["id"])
        held = Held(document)
        with self._lock:
            self._held[task_id] = held
        try:
            outcome = before.outcome if before is not None else None
            if outcome is None:
                outcome = self._outcome(document, held, before)
                self._journal.finish(task_id, outcome)
            if self._insist(lambda: self._deliver(task_id, held, outcome)):
                self._ended[_lease(document)] = None
                if len(self._ended) > _REMEMBERED:
                    del self._ended[next(iter(self._ended))]
        finally:
            with self._lock:
                self._held.pop(task_id, None)

    def _outcome(self, document: dict[str, Any], held: Held, before: Entry | None) -> dict[str, Any]:
        skill = self._skills.get(document["type"])
        if skill is None:
            return _failed(f"This device knows no tasks of the type {document['type']!r}.")
        handler = skill.run if before is None else skill.interrupted
        if handler is None:
            return _failed(_INTERRUPTED)
        task = Task(
            id=int(document["id"]),
            type=document["type"],
            payload=document.get("payload") or {},
            attempt=int(document.get("attempt") or 1),
            memory=before.memory if before is not None else {},
            cancelled=held.cancelled,
            _reporter=self,
        )
        try:
            result = handler(task)
            encoded = json.dumps(result, allow_nan=False)
        except TaskFailed as failure:
            return _failed(str(failure))
        except Exception as error:  # noqa: BLE001 - a handler is somebody else's code
            # Whatever it does wrong is its task's failure, not the end of the program.
            _log.exception("The task %d (%s) failed.", task.id, task.type)
            return _failed(f"{type(error).__name__}: {error}")
        if len(encoded.encode()) > LARGEST_RESULT_BYTES:
            return _failed(f"The result has {len(encoded.encode())} bytes; the hub takes {LARGEST_RESULT_BYTES}.")
        return {"status": "done", "result": result}

    def _deliver(self, task_id: int, held: Held, outcome: dict[str, Any]) -> bool:
        """Whether this was the end of the task: its lease was not lost."""
        try:
            self._hub.call("POST", f"/tasks/{task_id}/complete", {**outcome, "lease_token": held.lease_token})
        except TokenRefused:
            raise
        except Refused as error:
            if error.code == "lease_lost":
                # It is in the queue again: the outcome stays, and is handed in when the task comes back.
                _log.info("The lease of task %d was lost; its outcome waits for the next one.", task_id)
                return False
            _log.warning("The hub does not take the outcome of task %d: %s", task_id, error)
        self._journal.forget(task_id)
        return True

    def _report(self, task_id: int, held: Held, what: str, said: dict[str, Any]) -> None:
        try:
            _, answer = self._hub.call("POST", f"/tasks/{task_id}/{what}", {**said, "lease_token": held.lease_token})
        except NotNow as error:
            _log.debug("The lease of task %d could not be renewed: %s", task_id, error)
        except Refused as error:
            _log.info("Task %d is not wanted any more: %s", task_id, error)
            held.extend_at = float("inf")
            held.cancelled.set()
        else:
            held.extended(float(answer["lease_seconds"]))

    def _insist(self, call: Callable[[], Any]) -> Any:
        """Call until the hub answers; None when the program is stopped meanwhile."""
        while not self._stopped.is_set():
            try:
                answer = call()
            except NotNow as error:
                _log.debug("%s", error)
                self._stopped.wait(self._backoff.pause_s(error.retry_after_s))
            except TokenRefused as error:
                _log.warning("%s Pair the device again.", error)
                self._stopped.wait(TOKEN_REFUSED_PAUSE_S)
            except Refused as error:
                # Not about one task: the hub is of another version, or something between here and there says no.
                _log.warning("The hub gives no tasks: %s", error)
                self._stopped.wait(TOKEN_REFUSED_PAUSE_S)
            else:
                self._backoff.reset()
                return answer
        return None


def _lease(document: Mapping[str, Any]) -> tuple[int, str]:
    return int(document["id"]), str(document.get("lease_token"))


def _failed(reason: str) -> dict[str, Any]:
    return {"status": "failed", "result": {"error": reason}}
