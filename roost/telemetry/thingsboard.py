"""Telemetry in the shapes of ThingsBoard's device API: `{"key": value}`, `{"ts": ms, "values": {…}}`, lists of both.

Words that spell a number are numbers there, so they are here. A message that holds more than numbers and booleans is
kept as an event, too: a state in words is no series, and must not be lost. Pure: no clock, no I/O.
"""

import math
from typing import Any

import msgspec

from roost.telemetry.decode import BATCH_BYTES, BATCH_MESSAGES, MESSAGE_BYTES, message_from
from roost.telemetry.messages import Message
from roost.telemetry.refusals import invalid, malformed, too_large

KIND = "thingsboard"
"""What such messages are called on the telemetry path."""

EVENT_TYPE = "telemetry"
MESSAGES_IN_FLIGHT = 100
_LONGEST_NUMBER = 32

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode_values(body: bytes, received_at: int) -> list[Message]:
    """The messages in `body`; none for an empty object, with which clients try whether they are let in.

    Raises:
        Refusal: 400, 413 or 422 as for other telemetry; nothing of the body counts.
    """
    if len(body) > BATCH_BYTES:
        raise too_large(f"A batch may have {BATCH_BYTES:,} bytes of JSON; this one has {len(body):,}.")
    try:
        sent = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"This is not JSON: {error}.") from None
    except RecursionError:
        raise invalid("too_deep", "It is nested too deeply.") from None
    items = sent if type(sent) is list else [sent]
    if len(items) > BATCH_MESSAGES:
        raise invalid("batch_size", f"A batch holds at most {BATCH_MESSAGES} messages; this one has {len(items)}.")
    messages = [_message(item, received_at) for item in items]
    return [message for message in messages if message is not None]


def answer_call(method: Any, now_ms: int, rate_per_minute: int) -> Any:
    """What a device learns when it asks the hub (a client-side call): its limits, or the time in ms since 1970."""
    if method == "getSessionLimits":
        rate = f"{rate_per_minute}:60," if rate_per_minute else ""
        limits = {"telemetryMessages": rate}
        return {"maxPayloadSize": MESSAGE_BYTES, "maxInflightMessages": MESSAGES_IN_FLIGHT, "rateLimits": limits}
    if method == "getCurrentTime":
        return now_ms
    return {"error": f"The hub answers getSessionLimits and getCurrentTime, not {str(method)[:80]!r}."}


def _message(item: Any, received_at: int) -> Message | None:
    if type(item) is not dict:
        raise invalid("not_an_object", 'A message is a JSON object, such as {"temp_c": 21.5}.')
    values, envelope = item, dict[str, Any]()
    if type(item.get("values")) is dict and item.keys() <= {"ts", "values", "metadata"}:
        values = item["values"]
        if item.get("ts") is not None:
            envelope["ts"] = item["ts"]
    payload = {key: _value(value) for key, value in values.items() if value is not None}
    if not payload:
        return None
    if not _is_plain(payload):
        envelope["event_type"] = EVENT_TYPE
    envelope["payload"] = payload
    message = message_from(envelope, received_at)
    if len(message.payload) > MESSAGE_BYTES:
        raise too_large(f"A message may have {MESSAGE_BYTES:,} bytes of JSON; this one has {len(message.payload):,}.")
    return message


def _value(value: Any) -> Any:
    if type(value) is not str or not 0 < len(value) <= _LONGEST_NUMBER or not value.isascii():
        return value
    if value in {"true", "false"}:
        return value == "true"
    try:
        return int(value) if value.lstrip("-").isdecimal() else _finite(float(value), value)
    except ValueError:
        return value


def _finite(number: float, spelled: str) -> float | str:
    return number if math.isfinite(number) else spelled


def _is_plain(payload: dict[str, Any]) -> bool:
    """Whether nothing of it would be lost as readings."""
    return all(
        _is_plain(value) and bool(value) if type(value) is dict else type(value) in {int, float, bool}
        for value in payload.values()
    )
