"""What devices hear: their own topics, such as shadow/delta, and who of them listens."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from roost.devices.identity import DeviceIdentity
from roost.mqtt import codec, thingsboard
from roost.mqtt.connection import CHOKED, ENDED
from roost.mqtt.ports import DeviceFeed, DeviceLog
from roost.mqtt.session import Session
from roost.mqtt.topics import TASKS, device_leaf

_DRAIN_POLL_S = 0.05


class Listening:
    """One filter of one device's connection."""

    __slots__ = ("_device_logs", "behind", "device", "leaf", "over", "session", "told", "topic")

    def __init__(self, session: Session, device: DeviceIdentity, topic: str, device_logs: DeviceLog) -> None:
        self.session = session
        self.device = device
        # As the device wrote it, so that what arrives fits its filter.
        self.topic = topic
        self.leaf = TASKS if topic == thingsboard.RPC_FILTER else device_leaf(topic)
        # How often something was told: what was looked up before that is no longer news.
        self.told = 0
        # It was too slow for something and will hear everything anew.
        self.behind = False
        self.over = False
        self._device_logs = device_logs

    def send(self, payload: bytes, *, retain: bool = True) -> bool:
        """Write one message; False when the connection is gone, too slow, or takes no packet of this length."""
        session = self.session
        if self.over or session.stopped & (CHOKED | ENDED):
            return False
        topic = self.topic
        if topic == thingsboard.RPC_FILTER:
            call = thingsboard.rpc_request(payload)
            if call is None:
                return True
            topic, payload = call
        packet = codec.encode_publish(session.version, topic, payload, retain=retain)
        if len(packet) > session.peer_limit:
            detail = f"A message on …/{self.leaf} was not sent: the device takes {session.peer_limit} bytes at most."
            self._device_logs.write(self.device.device_id, "warning", detail)
            return False
        session.wire.write(packet)
        return True


class DeviceTopics:
    """All filters of all devices. `feeds` say, by leaf, what a device hears first."""

    def __init__(
        self,
        feeds: Mapping[str, DeviceFeed],
        device_logs: DeviceLog,
        run: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._feeds = feeds
        self._device_logs = device_logs
        self._run = run
        self._of_device: dict[int, list[Listening]] = {}

    def add(self, session: Session, device: DeviceIdentity, topic: str) -> Listening:
        """The device listens from now on; call `begin` once it knows that."""
        listening = Listening(session, device, topic, self._device_logs)
        self._of_device.setdefault(device.device_id, []).append(listening)
        return listening

    def begin(self, listening: Listening) -> None:
        """Tell the device what waits for it."""
        feed = self._feeds.get(listening.leaf)
        if feed is not None and not listening.over:
            self._run(feed.subscribed(listening.device, listening))

    def remove(self, listening: Listening) -> None:
        """The device listens no more."""
        listening.over = True
        device_id = listening.device.device_id
        others = self._of_device.get(device_id, [])
        if listening in others:
            others.remove(listening)
        if not others:
            self._of_device.pop(device_id, None)

    def listens(self, device_id: int, leaf: str) -> bool:
        """Whether a connection of the device listens to the leaf."""
        return any(listening.leaf == leaf for listening in self._of_device.get(device_id, ()))

    def tell(self, device_id: int, leaf: str, payload: bytes) -> int:
        """Send it to the connections of the device that listen; answers to how many. Who is too slow gets it later."""
        reached = 0
        for listening in tuple(self._of_device.get(device_id, ())):
            if listening.leaf != leaf:
                continue
            listening.told += 1
            if listening.send(payload, retain=False):
                reached += 1
            elif listening.session.stopped & CHOKED and not listening.behind:
                listening.behind = True
                self._run(self._catch_up(listening))
        return reached

    async def _catch_up(self, listening: Listening) -> None:
        session = listening.session
        while session.stopped & (CHOKED | ENDED) == CHOKED and not listening.over:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_DRAIN_POLL_S)
        listening.behind = False
        if not session.stopped & ENDED:
            self.begin(listening)
