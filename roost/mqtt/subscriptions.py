"""Which user listens to what: SUBSCRIBE and UNSUBSCRIBE, the last value first, and live delivery after every commit."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from roost.devices.identity import DeviceIdentity
from roost.mqtt import codec
from roost.mqtt.audit import SUBSCRIBE_REFUSED
from roost.mqtt.connection import CHOKED, ENDED, WAITING
from roost.mqtt.device_topics import DeviceTopics, Listening
from roost.mqtt.payloads import live_payload, status_payload
from roost.mqtt.ports import Auditor, Directory
from roost.mqtt.reasons import Reason, TopicError
from roost.mqtt.session import Session
from roost.mqtt.topics import STATUS, TASKS, LiveFilter, check_device_filter, device_topic, parse_live_filter
from roost.telemetry.messages import Committed

logger = logging.getLogger(__name__)

FILTERS_PER_CLIENT = 64
# For a user whose grants are being looked at.
MESSAGES_WITHHELD = 256
_DRAIN_POLL_S = 0.05
SCOPES = {STATUS: "devices:read"}
TELEMETRY_SCOPE = "telemetry:read"


class Subscription:
    """One filter of one user. `device_id` None means every device within reach."""

    __slots__ = ("changed_devices", "device_id", "leaves", "name", "newer", "session")

    def __init__(self, session: Session, wanted: LiveFilter, device_id: int | None) -> None:
        self.session = session
        self.device_id = device_id
        # The device's name in the topic as the user wrote it, so that what arrives fits the filter.
        self.name = wanted.device
        self.leaves = frozenset(wanted.leaves)
        # While last values are being looked up: topics on which something newer went out meanwhile.
        self.newer: set[tuple[int, str]] | None = None
        # And devices that were changed meanwhile: they may have gone to where the user has no business.
        self.changed_devices: set[int] = set()


class Subscriptions:
    """All filters of all users, and the way of a committed message to them. Those of devices go to `device_topics`."""

    def __init__(
        self,
        directory: Directory,
        run: Callable[[Coroutine[Any, Any, None]], object],
        audit: Auditor,
        device_topics: DeviceTopics,
    ) -> None:
        self._device_topics = device_topics
        self.dropped = 0
        self._directory = directory
        self._run = run
        self._audit = audit
        self._of_one: dict[int, list[Subscription]] = {}
        self._of_all: list[Subscription] = []
        # What waits until changed grants have been looked at: of which device, on which leaf, and the packet.
        self._withheld: dict[Session, deque[tuple[DeviceIdentity, str, bytes]]] = {}

    # -- packets

    def subscribe(self, session: Session, flags: int, body: bytes) -> None:
        """A SUBSCRIBE; raises ProtocolError."""
        packet = codec.decode_subscribe(flags, body, session.version)
        if session.filters is None:
            session.filters = {}
        device = session.device
        if device is None:
            session.stop(WAITING)
            self._run(self._subscribe_user(session, packet))
            return
        known = frozenset(session.filters)
        codes = [self._grant_device(session, device, wanted.text) for wanted in packet.filters]
        session.answer(codec.encode_suback(session.version, packet.packet_id, codes))
        for wanted, code in zip(packet.filters, codes, strict=True):
            listening = session.filters.get(wanted.text)
            if code != Reason.SUCCESS or not isinstance(listening, Listening):
                continue
            # Work is no retained message: who does without those wants it all the same.
            if listening.leaf == TASKS or _wants_retained(wanted, new=wanted.text not in known):
                self._device_topics.begin(listening)

    def unsubscribe(self, session: Session, flags: int, body: bytes) -> None:
        """An UNSUBSCRIBE; raises ProtocolError."""
        packet = codec.decode_unsubscribe(flags, body, session.version)
        filters = session.filters or {}
        codes = []
        for text in packet.filters:
            codes.append(Reason.SUCCESS if text in filters else Reason.NO_SUBSCRIPTION_EXISTED)
            self._remove(filters.pop(text, None))
        session.answer(codec.encode_unsuback(session.version, packet.packet_id, list(codes)))

    def forget(self, session: Session) -> None:
        """The session is over."""
        filters, session.filters = session.filters or {}, None
        self._withheld.pop(session, None)
        for subscription in filters.values():
            self._remove(subscription)
        if session.dropped:
            logger.info(
                "a slow subscriber missed messages", extra={"client_id": session.client_id, "missed": session.dropped}
            )

    def device_changed(self, device_id: int) -> None:
        """This device was renamed, moved or given away."""
        for subscription in self._listeners(device_id):
            if subscription.newer is not None:
                subscription.changed_devices.add(device_id)

    def release(self, session: Session) -> None:
        """The user's grants have been looked at: what was withheld goes out as far as they still reach."""
        for device, leaf, packet in self._withheld.pop(session, ()):
            if _reaches(session, device, leaf):
                self._write(session, packet)

    def _grant_device(self, session: Session, device: DeviceIdentity, text: str) -> int:
        filters = session.filters
        try:
            check_device_filter(text, device.device_id, device.device_uid)
        except TopicError as error:
            self._audit.topic_refused(SUBSCRIBE_REFUSED, device, session.address, text, error.reason)
            return error.reason
        if filters is None or len(filters) >= FILTERS_PER_CLIENT:
            return Reason.QUOTA_EXCEEDED
        if text not in filters:
            filters[text] = self._device_topics.add(session, device, text)
        return Reason.SUCCESS

    async def _subscribe_user(self, session: Session, packet: codec.Subscribe) -> None:
        fresh: list[Subscription] = []
        try:
            codes = [await self._grant_user(session, wanted, fresh) for wanted in packet.filters]
        except Exception:
            session.end(Reason.SERVER_BUSY, "The hub cannot look up devices at the moment; try again soon.")
            raise
        session.answer_late(codec.encode_suback(session.version, packet.packet_id, codes))
        for subscription in fresh:
            await self._send_last(subscription)

    async def _grant_user(self, session: Session, wanted: codec.TopicFilter, fresh: list[Subscription]) -> int:
        user, filters = session.user, session.filters
        try:
            live = parse_live_filter(wanted.text)
        except TopicError as error:
            self._audit.topic_refused(SUBSCRIBE_REFUSED, user, session.address, wanted.text, error.reason)
            return error.reason
        device_id = None
        if live.device is not None and user is not None:
            visible = await self._directory.visible(user, live.device, _scope(live.leaves[0]))
            if not visible:
                reason = Reason.NOT_AUTHORIZED
                self._audit.topic_refused(SUBSCRIBE_REFUSED, user, session.address, wanted.text, reason)
                return reason
            device_id = visible[0].device_id
        if filters is None or session.stopped & ENDED:
            return Reason.UNSPECIFIED_ERROR
        if len(filters) >= FILTERS_PER_CLIENT and wanted.text not in filters:
            return Reason.QUOTA_EXCEEDED
        new = wanted.text not in filters
        self._remove(filters.get(wanted.text))
        subscription = filters[wanted.text] = Subscription(session, live, device_id)
        self._add(subscription)
        if _wants_retained(wanted, new=new):
            subscription.newer = set()
            fresh.append(subscription)
        return Reason.SUCCESS

    def _add(self, subscription: Subscription) -> None:
        if subscription.device_id is None:
            self._of_all.append(subscription)
        else:
            self._of_one.setdefault(subscription.device_id, []).append(subscription)

    def _remove(self, subscription: Subscription | Listening | None) -> None:
        if subscription is None:
            return
        if isinstance(subscription, Listening):
            self._device_topics.remove(subscription)
            return
        if subscription.device_id is None:
            self._of_all.remove(subscription)
            return
        others = self._of_one[subscription.device_id]
        others.remove(subscription)
        if not others:
            del self._of_one[subscription.device_id]

    # -- the last value first

    async def _send_last(self, subscription: Subscription) -> None:
        session = subscription.session
        name = None if subscription.device_id is None else str(subscription.device_id)
        try:
            for leaf in sorted(subscription.leaves):
                for device in await self._visible(session, name, leaf):
                    if session.stopped & ENDED:
                        return
                    payload = await self._directory.last(device, leaf)
                    if not await self._may_go(subscription, device, leaf):
                        continue
                    if payload and (device.device_id, leaf) not in (subscription.newer or ()):
                        topic = device_topic(subscription.name or device.device_id, leaf)
                        self._write(session, codec.encode_publish(session.version, topic, payload, retain=True))
        finally:
            subscription.newer = None
            subscription.changed_devices.clear()

    async def _may_go(self, subscription: Subscription, device: DeviceIdentity, leaf: str) -> bool:
        """Whether a last value of this device may be sent; comes back when it can be, or has no business there.

        So many devices take a while, and meanwhile grants may change, and devices go elsewhere.
        """
        session = subscription.session
        while True:
            while _must_wait(session):  # noqa: ASYNC110 - rare, and no state to keep
                await asyncio.sleep(_DRAIN_POLL_S)
            if session.stopped & ENDED or not _reaches(session, device, leaf):
                return False
            if device.device_id not in subscription.changed_devices:
                return True
            subscription.changed_devices.discard(device.device_id)
            if not await self._visible(session, str(device.device_id), leaf):
                return False

    async def _visible(self, session: Session, name: str | None, leaf: str) -> Sequence[DeviceIdentity]:
        return await self._directory.visible(session.user, name, _scope(leaf)) if session.user else ()

    # -- live

    def deliver(self, committed: list[Committed]) -> None:
        """A committed group, to whoever listens."""
        if not self._of_all and not self._of_one:
            return
        for device, message in committed:
            listeners = self._listeners(device.device_id)
            if not listeners:
                continue
            for leaf in ("telemetry", "readings", "events"):
                interested = [one for one in listeners if leaf in one.leaves and _reaches(one.session, device, leaf)]
                if interested:
                    self._send(interested, device, leaf, live_payload(leaf, message))

    def deliver_status(self, event: dict[str, Any]) -> None:
        """A `device.status_changed`."""
        device_id, organization_id = event["device_id"], event["organization_id"]
        if organization_id is None:
            return
        device = DeviceIdentity(device_id, "", organization_id, event["home_id"])
        listeners = self._listeners(device_id)
        interested = [one for one in listeners if STATUS in one.leaves and _reaches(one.session, device, STATUS)]
        if interested:
            self._send(interested, device, STATUS, status_payload(event))

    def _listeners(self, device_id: int) -> list[Subscription]:
        return self._of_all + self._of_one.get(device_id, [])

    def _send(self, listeners: Iterable[Subscription], device: DeviceIdentity, leaf: str, payload: bytes) -> None:
        if not payload:
            return
        device_id = device.device_id
        packets: dict[tuple[int, str | None], bytes] = {}
        for subscription in listeners:
            session = subscription.session
            if subscription.newer is not None:
                subscription.newer.add((device_id, leaf))
            key = session.version, subscription.name
            packet = packets.get(key)
            if packet is None:
                topic = device_topic(subscription.name or device_id, leaf)
                packet = packets[key] = codec.encode_publish(session.version, topic, payload)
            if session.in_doubt:
                self._withhold(session, device, leaf, packet)
            else:
                self._write(session, packet)

    def _withhold(self, session: Session, device: DeviceIdentity, leaf: str, packet: bytes) -> None:
        waiting = self._withheld.setdefault(session, deque())
        if len(waiting) >= MESSAGES_WITHHELD:
            waiting.popleft()
            session.dropped += 1
            self.dropped += 1
        waiting.append((device, leaf, packet))

    def _write(self, session: Session, packet: bytes) -> None:
        """Writes to a reader that keeps up; for others the message is lost and counted."""
        if session.stopped & (CHOKED | ENDED) or len(packet) > session.peer_limit:
            session.dropped += 1
            self.dropped += 1
        else:
            session.wire.write(packet)


def _wants_retained(wanted: codec.TopicFilter, *, new: bool) -> bool:
    """In MQTT 5 a client may say that it wants the last value never, or for a new filter only."""
    return wanted.retain_handling == 0 or (wanted.retain_handling == 1 and new)


def _scope(leaf: str) -> str:
    return SCOPES.get(leaf, TELEMETRY_SCOPE)


def _must_wait(session: Session) -> bool:
    """Whether the client is slow, or its user's grants are being looked at, and the connection stands."""
    return bool(session.stopped & CHOKED or session.in_doubt) and not session.stopped & ENDED


def _reaches(session: Session, device: DeviceIdentity, leaf: str) -> bool:
    """Whether the user may read this, by the grants last looked at; asked once per place, since the question comes with
    every message.
    """
    if session.user is None:
        return False
    if session.reaches is None:
        session.reaches = {}
    key = _scope(leaf), device.organization_id, device.home_id
    known = session.reaches.get(key)
    if known is None:
        known = session.reaches[key] = session.user.can(*key)
    return known
