"""What a client publishes: telemetry to the ingest path, status and logs to the registry, the rest refused."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from roost.core.errors import RoostError
from roost.core.rates import RateLimiter
from roost.devices.identity import DeviceIdentity
from roost.mqtt import codec, thingsboard
from roost.mqtt.audit import PUBLISH_REFUSED
from roost.mqtt.connection import CHOKED, ENDED, WAITING
from roost.mqtt.ports import Auditor, DeviceLog, Foreign, Reports
from roost.mqtt.reasons import ProtocolError, Reason, TopicError
from roost.mqtt.session import TOPIC_ALIAS_MAXIMUM, Session
from roost.mqtt.topics import INGESTED, LOGS, SHADOW_REPORTED, STATUS, published_kind
from roost.telemetry.refusals import Refusal, unavailable
from roost.telemetry.thingsboard import KIND as THINGSBOARD

logger = logging.getLogger(__name__)

# The only refusals that a PUBACK may carry (section 3.4.2.1); clients choke on others.
_PUBACK_REASONS = frozenset(
    {
        Reason.UNSPECIFIED_ERROR,
        Reason.IMPLEMENTATION_SPECIFIC,
        Reason.NOT_AUTHORIZED,
        Reason.TOPIC_NAME_INVALID,
        Reason.QUOTA_EXCEEDED,
        Reason.PAYLOAD_FORMAT_INVALID,
    }
)
_LONGEST_QUOTE = 200
_LONGEST_WILL = 120


class _Takers:
    """Who takes what is published beside telemetry, by its kind."""

    def __init__(self, reports: Reports) -> None:
        self._plain = {STATUS: reports.status, LOGS: reports.logs, SHADOW_REPORTED: reports.shadow}
        self._task = reports.task

    def __getitem__(self, kind: str) -> Callable[[DeviceIdentity, bytes], Coroutine[Any, Any, None]]:
        if kind in self._plain:
            return self._plain[kind]
        _, task_id, verb = kind.split("/")
        return partial(self._task, int(task_id), verb)


class Publisher:
    """Takes PUBLISH packets of all sessions and phrases what was refused."""

    def __init__(
        self,
        device_logs: DeviceLog,
        reports: Reports,
        run: Callable[[Coroutine[Any, Any, None]], object],
        *,
        audit_rate: RateLimiter,
        audit: Auditor,
        foreign: Foreign,
    ) -> None:
        """`foreign` takes what ThingsBoard's clients say beside telemetry."""
        self._device_logs = device_logs
        self._thingsboard = foreign
        self._reports = _Takers(reports)
        self._run = run
        self._audit_rate = audit_rate
        self._audit_log = audit

    def publish(self, session: Session, flags: int, body: bytes) -> None:
        """One PUBLISH; raises ProtocolError."""
        publish = codec.decode_publish(flags, body, session.version)
        topic = _resolved_topic(session, publish)
        device = session.device
        if device is None:
            self._audit_log.topic_refused(PUBLISH_REFUSED, session.user, session.address, topic, Reason.NOT_AUTHORIZED)
            self._refuse_user(session, publish)
            return
        foreign = None
        try:
            if topic.startswith(thingsboard.ROOT):
                foreign = thingsboard.published(topic)
                kind = foreign.kind
            else:
                kind = published_kind(topic, device.device_id, device.device_uid)
        except TopicError as error:
            self._audit(session, topic, error.reason)
            self._refuse(session, publish, Refusal(403, "not_yours", error.detail, mqtt_reason=error.reason))
            return
        if kind in INGESTED or kind == THINGSBOARD:
            if publish.alias is None:
                session.prefix = body[: 2 + int.from_bytes(body[:2], "big")]
                session.kind = kind
            session.submitted += 1
            token = codec.PUBACK_PREFIX | publish.packet_id if publish.qos else None
            session.intake.submit(device, kind, publish.payload, session, token)
        else:
            session.stop(WAITING)
            work = (
                self._reports[kind](device, publish.payload)
                if foreign is None
                else self._take_foreign(session, device, foreign, publish.payload)
            )
            self._run(self._report(session, publish, work))

    def oversized(self, session: Session, flags: int, start: bytes) -> None:
        """A PUBLISH whose payload is thrown away; `start` is its topic and, with QoS 1, packet id."""
        qos = flags >> 1 & 0x03
        if qos >= 2:
            raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered; use QoS 1.")
        publish = codec.decode_publish(flags, start if qos else start[:-2], session.version)
        detail = f"A packet may have {session.packet_limit} bytes; this one was not stored."
        self._refuse(session, publish, Refusal(413, "too_large", detail, mqtt_reason=Reason.PACKET_TOO_LARGE))

    def refused(self, session: Session, token: int | None, refusal: Refusal) -> None:
        """The ingest path's refusal, in the place where the PUBACK would stand."""
        packet = self._phrase(session, None if token is None else token & 0xFFFF, refusal)
        if packet:
            session.acks.append(packet)
            session.mixed = True

    def will(self, session: Session, device: DeviceIdentity, will: codec.Will) -> str:
        """Says the will of a device that is gone; returns it for the presence's reason if it is about its status."""
        try:
            kind = published_kind(will.topic, device.device_id, device.device_uid)
        except TopicError as error:
            self._audit(session, will.topic, error.reason)
            self._device_logs.write(device.device_id, "warning", f"The will was not published. {error.detail}")
            return ""
        if kind in INGESTED:
            session.submitted += 1
            session.intake.submit(device, kind, will.payload, session, None)
        elif kind != STATUS:
            self._run(self._reports[kind](device, will.payload))
        return will.payload.decode(errors="replace").replace("\0", "")[:_LONGEST_WILL] if kind == STATUS else ""

    async def _take_foreign(
        self, session: Session, device: DeviceIdentity, said: thingsboard.Published, body: bytes
    ) -> None:
        answer = await self._thingsboard.take(device, said, body)
        listened = f"{answer.topic.rpartition('/')[0]}/+" if answer is not None else ""
        if answer is not None and listened in (session.filters or {}) and not session.stopped & (CHOKED | ENDED):
            session.wire.write(codec.encode_publish(session.version, answer.topic, answer.payload))

    async def _report(self, session: Session, publish: codec.Publish, work: Awaitable[None]) -> None:
        packet = b""
        try:
            await work
            packet = codec.encode_plain_puback(publish.packet_id) if publish.qos else b""
        except RoostError as error:
            packet = self._phrase(session, publish.packet_id or None, _as_refusal(error))
        except Exception:
            packet = self._phrase(
                session, publish.packet_id or None, unavailable("The hub could not store the report.")
            )
            raise
        finally:
            session.answer_late(packet)

    def _refuse_user(self, session: Session, publish: codec.Publish) -> None:
        detail = "A user's token reads; devices publish with their own."
        if session.version == codec.V5 and publish.qos:
            packet = codec.encode_puback(
                publish.packet_id, Reason.NOT_AUTHORIZED, detail if session.wants_reasons else ""
            )
            session.answer(packet)
        else:
            raise ProtocolError(Reason.NOT_AUTHORIZED, detail)

    def _refuse(self, session: Session, publish: codec.Publish, refusal: Refusal) -> None:
        packet = self._phrase(session, publish.packet_id or None, refusal)
        if packet:
            session.answer(packet)

    def _phrase(self, session: Session, packet_id: int | None, refusal: Refusal) -> bytes:
        """The PUBACK for a refused message, empty when none is due; ends the connection when it is to be sent again."""
        device = session.device
        if device is not None and refusal.status != 503:
            self._device_logs.write(device.device_id, "warning", f"A message was refused. {refusal.detail}")
        if packet_id is None:
            return b""
        told = session.version == codec.V5
        if not refusal.permanent and not (told and refusal.status == 429):
            session.end(Reason(refusal.mqtt_reason), refusal.detail)
            return b""
        if not told:
            return codec.encode_plain_puback(packet_id)
        reason = _puback_reason(refusal.mqtt_reason)
        plain = codec.encode_puback(packet_id, reason, "")
        return (
            session.fitting(codec.encode_puback(packet_id, reason, refusal.detail), plain)
            if session.wants_reasons
            else plain
        )

    def _audit(self, session: Session, topic: str, reason: Reason) -> None:
        device = session.device
        self._audit_log.topic_refused(PUBLISH_REFUSED, device, session.address, topic, reason)
        if device is None or self._audit_rate.take(str(device.device_id)) > 0:
            return
        logger.warning(
            "a publish was refused",
            extra={
                "device_id": device.device_id,
                "organization_id": device.organization_id,
                "client_id": session.client_id,
                "address": session.address,
                "topic": topic[:_LONGEST_QUOTE],
                "reason": reason.name.lower(),
            },
        )


def _resolved_topic(session: Session, publish: codec.Publish) -> str:
    alias = publish.alias
    if alias is None:
        return publish.topic
    if not 0 < alias <= TOPIC_ALIAS_MAXIMUM:
        raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"Topic aliases go from 1 to {TOPIC_ALIAS_MAXIMUM}.")
    if session.aliases is None:
        session.aliases = {}
    if publish.topic:
        session.aliases[alias] = publish.topic
        return publish.topic
    if alias not in session.aliases:
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"Topic alias {alias} was never given a topic.")
    return session.aliases[alias]


def _puback_reason(reason: int) -> Reason:
    if reason == Reason.PACKET_TOO_LARGE:
        return Reason.QUOTA_EXCEEDED  # "an imposed limit has been exceeded"; a PUBACK has no nearer word
    known = Reason(reason)
    return known if known in _PUBACK_REASONS else Reason.IMPLEMENTATION_SPECIFIC


def _as_refusal(error: RoostError) -> Refusal:
    for_now = error.status in {429, 503}
    reason = {
        # It is well formed and comes too late.
        409: Reason.IMPLEMENTATION_SPECIFIC,
        413: Reason.PACKET_TOO_LARGE,
        429: Reason.QUOTA_EXCEEDED,
        503: Reason.SERVER_BUSY,
        507: Reason.QUOTA_EXCEEDED,
    }
    return Refusal(
        error.status,
        error.code,
        error.detail,
        mqtt_reason=reason.get(error.status, Reason.PAYLOAD_FORMAT_INVALID),
        permanent=not for_now,
    )
