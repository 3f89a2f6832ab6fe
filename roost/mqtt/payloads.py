"""What subscribers read: the JSON of the live topics, the same for a live message and for the last value."""

from typing import Any

import msgspec

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.messages import Message, Reading, Value


class LiveMessage(msgspec.Struct, gc=False):
    """On …/telemetry and …/events. `payload` is the document as sent for an event, otherwise the readings."""

    id: int
    event_type: str | None
    ts: str
    received_at: str
    payload: msgspec.Raw


class LiveReading(msgspec.Struct, gc=False):
    """One value of one series."""

    sensor_type: str
    value: Value
    unit: str | None
    timestamp: str


class LiveReadings(msgspec.Struct, gc=False):
    """On …/readings: the shape in which a device may publish them, too."""

    readings: list[LiveReading]


class LiveStatus(msgspec.Struct, gc=False):
    """On …/status."""

    status: str
    since: str | None
    last_seen_at: str | None
    reason: str | None
    cause: str | None


_encode = msgspec.json.Encoder().encode


def message_payload(
    message_id: int, event_type: str | None, observed_at: int, received_at: int, payload: bytes
) -> bytes:
    """One message; times in milliseconds since 1970 UTC."""
    ts, received = rfc3339_from_ms(observed_at), rfc3339_from_ms(received_at)
    return _encode(LiveMessage(message_id, event_type, ts, received, msgspec.Raw(payload)))


def live_payload(leaf: str, message: Message) -> bytes:
    """The payload of a committed message on one of the live topics; empty where it does not belong."""
    if leaf == "readings":
        units = message.units or {}
        readings = [Reading(key, value, units.get(key), message.observed_at) for key, value in message.readings.items()]
        return readings_payload(readings) if readings else b""
    if leaf == "events" and message.event_type is None:
        return b""
    return message_payload(message.id, message.event_type, message.observed_at, message.received_at, message.payload)


def readings_payload(readings: list[Reading]) -> bytes:
    """Readings of one device."""
    return _encode(
        LiveReadings([LiveReading(r.sensor_type, r.value, r.unit, rfc3339_from_ms(r.timestamp)) for r in readings])
    )


def status_payload(event: dict[str, Any]) -> bytes:
    """What `device.status_changed` says; times are RFC 3339 already."""
    return _encode(LiveStatus(event["status"], event["since"], event["last_seen_at"], event["reason"], event["cause"]))
