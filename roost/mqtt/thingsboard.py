"""ThingsBoard's device API over MQTT: `v1/devices/me/…`, for devices whose firmware speaks nothing else.

After https://thingsboard.io/docs/reference/mqtt-api/. Telemetry takes the usual way; client attributes are what the
shadow calls reported, shared attributes what it calls desired.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from roost.core.clock import Clock
from roost.core.errors import Invalid
from roost.devices.identity import DeviceIdentity
from roost.devices.shadow.attributes import attributes, update
from roost.devices.shadow.service import Wish
from roost.devices.shadow.state import Shadow
from roost.mqtt.reasons import Reason, TopicError
from roost.tasks.rpc import completion, rpc_of
from roost.tasks.schemas import TaskCompletion
from roost.telemetry.thingsboard import KIND, answer_call

ROOT = "v1/devices/me/"
ATTRIBUTES = "attributes"
ATTRIBUTES_REQUEST, ATTRIBUTES_RESPONSE = "attributes/request", "attributes/response"
RPC_REQUEST, RPC_RESPONSE = "rpc/request", "rpc/response"
RPC_FILTER = f"{ROOT}{RPC_REQUEST}/+"
FILTERS = frozenset({f"{ROOT}{ATTRIBUTES}", f"{ROOT}{ATTRIBUTES_RESPONSE}/+", RPC_FILTER, f"{ROOT}{RPC_RESPONSE}/+"})
"""What such a device may subscribe to."""

ATTRIBUTES_LEAF = f"me/{ATTRIBUTES}"
_LONGEST_ID = 18

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Published(NamedTuple):
    """What a topic means. `kind` is that of the telemetry path, or one of the topics above with its number."""

    kind: str
    number: str = ""


class Answer(NamedTuple):
    """What the device hears in return."""

    topic: str
    payload: bytes


class Tasks(Protocol):
    """`roost.tasks.service.Tasks`."""

    async def complete(self, device: DeviceIdentity, task_id: int, said: TaskCompletion) -> object: ...


class Shadows(Protocol):
    """`roost.devices.shadow.service.Shadows`."""

    async def get(self, device_id: int) -> Shadow: ...

    async def report(self, device: DeviceIdentity, wish: Wish) -> Shadow: ...


def published(topic: str) -> Published:
    """Raises TopicError for a topic that nobody reads."""
    leaf = topic.removeprefix(ROOT)
    if leaf == "telemetry":
        return Published(KIND)
    if leaf == ATTRIBUTES:
        return Published(ATTRIBUTES)
    kind, _, number = leaf.rpartition("/")
    if kind in {ATTRIBUTES_REQUEST, RPC_REQUEST, RPC_RESPONSE} and number.isdecimal() and len(number) <= _LONGEST_ID:
        return Published(kind, number)
    raise TopicError(
        Reason.TOPIC_NAME_INVALID,
        f"Nothing is published on {ROOT}{leaf[:80]}; there are telemetry, attributes, attributes/request/<number>,"
        " rpc/request/<number> and rpc/response/<number>.",
    )


class ThingsBoard:
    """Takes what is not telemetry. Every method raises what shadow and tasks raise, and Invalid."""

    def __init__(self, shadows: Shadows, tasks: Tasks, clock: Clock, rate_per_minute: int) -> None:
        self._shadows = shadows
        self._tasks = tasks
        self._clock = clock
        self._rate_per_minute = rate_per_minute

    async def take(self, device: DeviceIdentity, said: Published, body: bytes) -> Answer | None:
        """One message; returns once it is on disk, with what the device waits for."""
        if said.kind == RPC_RESPONSE:
            await self._tasks.complete(device, int(said.number), completion(body))
            return None
        document = _document(body)
        if said.kind == ATTRIBUTES:
            await self._shadows.report(device, Wish(document))
            return None
        if said.kind == ATTRIBUTES_REQUEST:
            shadow = await self._shadows.get(device.device_id)
            found = attributes(shadow, _keys(document, "clientKeys"), _keys(document, "sharedKeys"))
            return Answer(f"{ROOT}{ATTRIBUTES_RESPONSE}/{said.number}", _encode(found))
        return Answer(
            f"{ROOT}{RPC_RESPONSE}/{said.number}",
            _encode(answer_call(document.get("method"), self._clock.now_ms(), self._rate_per_minute)),
        )


def rpc_request(task: bytes) -> Answer | None:
    """A leased task in ThingsBoard's words; None for what it has no words for, such as a cancelled one."""
    leased = _decode(task)
    if leased["status"] != "leased":
        return None
    return Answer(f"{ROOT}{RPC_REQUEST}/{leased['id']}", _encode(rpc_of(leased["type"], leased["payload"])))


def on_shadow_changed(
    shadows: Shadows, listens: Callable[[int, str], bool], tell: Callable[[int, str, bytes], int]
) -> Callable[[str, dict[str, Any]], Any]:
    """For the bus: a device that listens hears which shared attributes have changed."""

    async def send(device_id: int, patch: dict[str, Any]) -> None:
        # As they stand now: of two changes that follow each other the later one wins.
        tell(device_id, ATTRIBUTES_LEAF, _encode(update(await shadows.get(device_id), patch)))

    def handle(_subject: str, event: dict[str, Any]) -> Any:
        if event["side"] == "desired" and listens(event["device_id"], ATTRIBUTES_LEAF):
            return send(event["device_id"], event["patch"])
        return None

    return handle


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"This is not JSON: {error}.") from None
    if type(document) is not dict:
        raise Invalid("Send a JSON object.")
    return document


def _keys(document: dict[str, Any], name: str) -> list[str] | None:
    """The names in `"a,b"`; None when there is no such member."""
    said = document.get(name)
    return [key.strip() for key in said.split(",")] if isinstance(said, str) else None
