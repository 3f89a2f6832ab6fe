"""The shadow's side of the device topics: the delta, as a retained message would come."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from roost.devices.identity import DeviceIdentity
from roost.devices.shadow.documents import Document
from roost.devices.shadow.state import Shadow
from roost.mqtt.ports import Heard
from roost.mqtt.topics import SHADOW_DELTA

Tell = Callable[[int, str, bytes], int]


class ReadShadow(Protocol):
    """`roost.devices.shadow.service.Shadows`."""

    async def get(self, device_id: int) -> Shadow: ...


class ShadowDelta(msgspec.Struct, gc=False):
    """On …/shadow/delta. Of two messages the one with the greater `version` is the newer one."""

    delta: Document
    version: int
    desired_version: int
    reported_version: int


_encode = msgspec.json.Encoder().encode


class ShadowFeed:
    """Tells devices what they still have to do."""

    def __init__(self, shadows: ReadShadow) -> None:
        self._shadows = shadows

    async def subscribed(self, device: DeviceIdentity, listening: Heard) -> None:
        """The delta as it stands, unless there is none or a newer one went out while it was read."""
        told = listening.told
        shadow = await self._shadows.get(device.device_id)
        if not shadow.delta or listening.told != told:
            return
        versions = shadow.delta_version, shadow.desired.version, shadow.reported.version
        listening.send(_encode(ShadowDelta(shadow.delta, *versions)))


def on_shadow_changed(tell: Tell) -> Callable[[str, dict[str, Any]], None]:
    """For the bus. A device that reports what was desired knows that nothing is left, and is not told."""

    def handle(_subject: str, event: dict[str, Any]) -> None:
        if event["side"] == "reported" and not event["delta"]:
            return
        versions = event["delta_version"], event["desired_version"], event["reported_version"]
        tell(event["device_id"], SHADOW_DELTA, _encode(ShadowDelta(event["delta"], *versions)))

    return handle
