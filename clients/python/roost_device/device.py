"""A device, all of it: what a program on it imports."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from roost_device import joining
from roost_device.errors import NotPaired, Refused
from roost_device.hub import Hub
from roost_device.identity import Identity, IdentityFile
from roost_device.journal import Journal
from roost_device.sending import Carrier, HttpCarrier, Sender
from roost_device.shadow import LOOK_EVERY_S, DeltaHandler, Shadow
from roost_device.spool import CAPACITY, Spool
from roost_device.storage import Claim, Storage
from roost_device.tasks import Handler, Skill
from roost_device.work import Poll, Pushed, Worker

Transport = Literal["http", "mqtt"]
MQTT_PORT = 1883
MQTTS_PORT = 8883
_FAREWELL_S = 5.0

_log = logging.getLogger(__name__)


class Device:
    """One device of a hub.

    `folder` keeps its identity, its unsent messages and its task journal; one program at a time uses it. The uid is
    kept there as well and need be given only the first time. Everything in the background begins with `start()` or
    `with device:`.

    Raises ValueError for an address, a uid or a file that is no good, OSError when the folder cannot be used.
    """

    def __init__(
        self,
        url: str,
        folder: str | Path,
        device_uid: str | None = None,
        *,
        transport: Transport = "http",
        mqtt_port: int | None = None,
        ca: str | None = None,
        firmware_version: str | None = None,
        capabilities: dict[str, Any] | None = None,
        context_key: str = "default",
        spool_capacity: int = CAPACITY,
        shadow_look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        folder = Path(folder)
        self._file = IdentityFile(folder)
        uid = device_uid or self._file.stored_uid()
        if uid is None:
            raise ValueError("The device needs a uid the first time.")
        self._identity = self._file.load(uid)
        self.hub = Hub(url, self._identity.token, ca)
        self._transport = transport
        self._mqtt_port = mqtt_port or (MQTTS_PORT if self.hub.tls else MQTT_PORT)
        self._firmware_version = firmware_version
        self._capabilities = capabilities
        self._context_key = context_key
        self._look_every_s = shadow_look_every_s
        self._storage = Storage(folder)
        self._claim = Claim(folder)
        self.spool = Spool(self._storage, spool_capacity)
        self._journal = Journal(self._storage)
        self._skills: dict[str, Skill] = {}
        self._on_delta: DeltaHandler | None = None
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._wakers: list[Callable[[], None]] = []
        self._shadow: Shadow | None = None

    @property
    def identity(self) -> Identity:
        """Uid, id and token."""
        return self._identity

    @property
    def paired(self) -> bool:
        """Whether the device has a token."""
        return self._identity.token is not None

    def say_hello(self) -> dict[str, Any]:
        """Make the device known, or what it runs; `{device_id, device_uid, claimed, retry_after_s}`.

        Raises NotNow, Refused.
        """
        return joining.say_hello(self.hub, self._identity, self._firmware_version, self._capabilities)

    def pair(self, pairing_code: str) -> None:
        """Hand in the owner's code and keep the token. Raises NotNow; Refused: see joining.confirm."""
        joining.confirm(self.hub, self._identity, self._file, pairing_code)

    def use_token(self, device_id: int, token: str) -> None:
        """Take over a token that was made by hand, for a device that was registered with this uid."""
        self._identity.device_id = device_id
        self._identity.token = self.hub.token = token
        self._file.save(self._identity)

    def forget_token(self) -> None:
        """Before the device is paired anew. Unsent messages stay, and go to whoever pairs it."""
        self._identity.device_id = self._identity.token = self.hub.token = None
        self._file.save(self._identity)

    def send(self, payload: dict[str, Any], *, event_type: str | None = None, ts_ms: int | None = None) -> str:
        """Send a message: on this device's disk when it returns, and sent until the hub has it. Answers its
        `message_id`.

        Raises ValueError when it is larger than 16 KiB or no JSON, sqlite3.Error when the disk does not take it.
        """
        return self.spool.append(payload, event_type=event_type, ts_ms=ts_ms)

    def task(
        self, task_type: str, *, interrupted: Handler | None = None, repeatable: bool = False
    ) -> Callable[[Handler], Handler]:
        """A decorator: this function does tasks of the type, and answers their result; before `start()`.

        One that is cut off by a restart of the program fails, unless it is `repeatable` (then it is run again), or
        `interrupted` says what became of it.
        """

        def register(handler: Handler) -> Handler:
            self._skills[task_type] = Skill(handler, handler if repeatable else interrupted)
            return handler

        return register

    def on_delta(self, handler: DeltaHandler) -> DeltaHandler:
        """A decorator: this function gets what the owner wants and is not yet so, and answers what is so now."""
        self._on_delta = handler
        return handler

    def report(self, state: Mapping[str, Any]) -> None:
        """Merge this into the reported side of the shadow. Raises NotPaired before `start()`, TypeError, ValueError."""
        if self._shadow is None:
            raise NotPaired("The device reports when it is started.")
        self._shadow.report(state)

    def start(self) -> None:
        """Begin to send, to take tasks and to follow the shadow, in threads.

        Raises NotPaired; OSError when another program is this device already.
        """
        device_id = self._identity.device_id
        if device_id is None or self._identity.token is None:
            raise NotPaired(f"The device {self._identity.device_uid!r} is not paired yet.")
        self._claim.take()
        self._stopped.clear()
        self.hub.resume()
        shadow = self._shadow = Shadow(self.hub, device_id, self._stopped, self._on_delta, self._look_every_s)
        pushed = Pushed()
        source = pushed if self._transport == "mqtt" else Poll(self.hub, self._context_key)
        worker = Worker(self.hub, self._journal, source, self._skills, self._stopped, context_key=self._context_key)
        carrier: Carrier = HttpCarrier(self.hub)
        if self._transport == "mqtt":
            carrier = self._connect(device_id, shadow, pushed, worker)
        self._run("sender", Sender(self.spool, carrier, self._stopped).run, self.spool.wake)
        self._run("shadow", shadow.run, shadow.changed)
        self._run("hello", self._hello)
        if self._skills:
            self._run("tasks", worker.run)
            self._run("leases", worker.keep_leases)

    def wait_until_sent(self, timeout_s: float) -> bool:
        """Whether the hub has everything; waits for it."""
        return self.spool.wait_until_empty(timeout_s)

    def stop(self) -> None:
        """End the threads; what is not sent stays on disk. A device that was stopped can be started again."""
        self._stopped.set()
        for wake in self._wakers:
            wake()
        self.hub.interrupt()
        for thread in self._threads:
            thread.join(_FAREWELL_S)
        self._threads.clear()
        self._wakers.clear()
        self.hub.close()
        self._claim.give_back()

    def close(self) -> None:
        """Stop, and give the folder back."""
        self.stop()
        self._storage.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, device_id: int, shadow: Shadow, pushed: Pushed, worker: Worker) -> Carrier:
        # Not at the top: a device that speaks HTTP needs no MQTT library.
        from roost_device.mqtt import MqttConnection  # noqa: PLC0415

        topics = ["shadow/delta"] if self._on_delta is not None else []
        if self._skills:
            topics.append("tasks")

        def received(topic: str, body: bytes) -> None:
            if topic == "shadow/delta":
                shadow.changed()
                return
            try:
                document = json.loads(body)
                if document["status"] == "cancelled":
                    worker.cancel(int(document["id"]))
                else:
                    pushed.put(document)
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("What came on %s is no task: %r", topic, error)

        connection = MqttConnection(
            self.hub, device_id, self._mqtt_port, self._stopped,
            topics=topics, on_message=received, on_connected=shadow.changed,
        )  # fmt: skip
        self._run("mqtt", connection.run, connection.wake)
        return connection

    def _hello(self) -> None:
        """What this device runs may have changed while it was off."""
        try:
            joining.hello_until_answered(self.say_hello, self._stopped)
        except Refused as error:
            _log.warning("The hub does not take the hello: %s", error)

    def _run(self, name: str, work: Callable[[], Any], wake: Callable[[], None] | None = None) -> None:
        thread = threading.Thread(target=work, name=f"roost-{name}", daemon=True)
        self._threads.append(thread)
        if wake is not None:
            self._wakers.append(wake)
        thread.start()
