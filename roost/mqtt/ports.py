"""What the endpoint needs from the rooms below it, as narrow as it uses it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from roost.access.principals import UserPrincipal
from roost.devices.identity import DeviceIdentity
from roost.devices.presence_record import Cause
from roost.mqtt.reasons import Reason, SignInError
from roost.mqtt.thingsboard import Answer, Published
from roost.telemetry.ingest import Sink
from roost.telemetry.messages import Committed


class Wire(Protocol):
    """The side of a connection that faces the network: an asyncio transport, or a WebSocket made to look like one."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Send what is buffered, then close."""

    def can_write_eof(self) -> bool: ...

    def write_eof(self) -> None:
        """Send what is buffered, then say that nothing more will come; reading goes on."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername` is `(address, port)`, or None when it is unknown."""


class Intake(Protocol):
    """The telemetry path: `roost.telemetry.ingest.Ingest`."""

    @property
    def full(self) -> bool: ...

    def when_room(self, callback: Callable[[], None]) -> None: ...

    def submit(self, device: DeviceIdentity, kind: str, body: bytes, sink: Sink, token: object) -> None: ...

    def subscribe(self, listener: Callable[[list[Committed]], None]) -> Callable[[], None]: ...


class Identities(Protocol):
    """Tokens to devices: `roost.devices.identities.DeviceIdentities`."""

    def cached(self, token: str) -> DeviceIdentity | None: ...

    async def authenticate(self, token: str) -> DeviceIdentity | None: ...


class PresenceBook(Protocol):
    """Who is there: `roost.devices.presence.Presence`."""

    def seen(self, device_id: int, at_ms: int) -> None: ...

    def connected(self, device_id: int, transport: str) -> None: ...

    def disconnected(self, device_id: int, reason: str, *, cause: Cause) -> None: ...


class DeviceLog(Protocol):
    """Lines for the device's owner: `roost.devices.logs.DeviceLogs`."""

    def write(self, device_id: int, level: str, message: str, source: str = "hub") -> object: ...


class Reports(Protocol):
    """What a device says about itself beside telemetry. All return after the commit and raise `RoostError`."""

    async def status(self, device: DeviceIdentity, body: bytes) -> None: ...

    async def logs(self, device: DeviceIdentity, body: bytes) -> None: ...

    async def shadow(self, device: DeviceIdentity, body: bytes) -> None: ...

    async def task(self, task_id: int, verb: str, device: DeviceIdentity, body: bytes) -> None: ...


class Foreign(Protocol):
    """What a device of another system says beside telemetry: `roost.mqtt.thingsboard.ThingsBoard`."""

    async def take(self, device: DeviceIdentity, said: Published, body: bytes) -> Answer | None:
        """One message; returns after the commit with what the device is to hear, and raises `RoostError`."""
        ...


class Auditor(Protocol):
    """Who remembers what was refused, and where credentials are used: `roost.mqtt.audit.MqttAudit`."""

    def entered(self, principal: DeviceIdentity | UserPrincipal, address: str) -> None: ...

    def connect_refused(self, name: str | None, address: str, error: SignInError) -> None: ...

    def topic_refused(
        self, action: str, principal: DeviceIdentity | UserPrincipal | None, address: str, topic: str, reason: Reason
    ) -> None: ...


class Directory(Protocol):
    """Which devices there are, which of them a user may read, and what they said last."""

    async def find(self, device_id: int) -> DeviceIdentity | None:
        """The device as it is registered now."""
        ...

    async def visible(self, user: UserPrincipal, name: str | None, scope: str) -> Sequence[DeviceIdentity]:
        """The devices that the user may read with `scope`: the one with this id or uid, or all of them."""
        ...

    async def last(self, device: DeviceIdentity, leaf: str) -> bytes | None:
        """The newest payload of a live topic, None if there is none yet."""
        ...


class Heard(Protocol):
    """A device's filter on one of its own topics."""

    @property
    def told(self) -> int:
        """How often something was sent to it by the way."""
        ...

    def send(self, payload: bytes, *, retain: bool = True) -> bool:
        """Send one message; False when the device is gone, too slow, or takes no packet of this length."""
        ...


class DeviceFeed(Protocol):
    """What waits for a device on one of its own topics."""

    async def subscribed(self, device: DeviceIdentity, listening: Heard) -> None:
        """The device listens from now on, or was too slow for something and has caught up: send what waits."""
        ...


AuthenticateUser = Callable[[str], Awaitable[UserPrincipal]]
