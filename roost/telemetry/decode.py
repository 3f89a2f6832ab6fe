"""From the bytes a device sent to messages, or to a refusal that says what is wrong. Pure: no clock, no I/O.

A single message is either an envelope `{"payload": {...}, "event_type"?, "ts"?, "message_id"?}` or the bare payload
`{"temp_c": 21.5}`; a batch is a list of these. Readings come as `{"readings": [{sensor_type, value, unit?,
timestamp?}]}`, as a list of readings, or as a single one.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec

from roost.core.clock import parse_time
from roost.telemetry.messages import Message, Value
from roost.telemetry.refusals import Refusal, invalid, malformed, too_large

MESSAGE_BYTES = 16 * 1024
BATCH_BYTES = 1024 * 1024
BATCH_MESSAGES = 500
KEY_LENGTH = 64
MESSAGE_ID_LENGTH = 128
UNIT_LENGTH = 32
DEPTH = 16
EARLIEST_MS = 946_684_800_000  # 2000-01-01: a device whose clock was never set must hear of it
AHEAD_MS = 24 * 3600 * 1000

ENVELOPE = frozenset({"payload", "event_type", "ts", "message_id"})
READING = frozenset({"sensor_type", "value", "unit", "timestamp"})
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
KNOWN_KEYS = 10_000

_known_keys: set[str] = set()


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    payload: dict[str, Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)] | float | bool]
    ts: int | None = None
    message_id: str | None = None


_plain_decoder = msgspec.json.Decoder(_Plain)
_any_decoder = msgspec.json.Decoder()
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def decode(kind: str, body: bytes, received_at: int) -> list[Message]:
    """The messages in `body`, sent as `kind` ('telemetry', 'readings' or 'events').

    Raises:
        Refusal: 400 (not JSON), 413 (too large) or 422 (JSON that cannot be stored); nothing of the body counts.
    """
    if kind == "readings":
        messages = _decode_readings(body, received_at)
    elif body[:1] == b"{" and len(body) <= MESSAGE_BYTES:
        messages = [_plain_message(body, received_at) or message_from(_parse(body), received_at)]
    else:
        messages = _decode_telemetry(body, received_at)
    if kind == "events":
        for message in messages:
            if message.event_type is None:
                raise invalid("event_type_missing", "An event needs an `event_type`.")
    return messages


def _plain_message(body: bytes, received_at: int) -> Message | None:
    """What nearly every device sends, in a third of the time: an envelope of numbers under keys met before.

    None for anything else, good or bad: the general way decides then.
    """
    try:
        sent = _plain_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    payload, ts = sent.payload, sent.ts
    if not payload or not _known_keys.issuperset(payload):
        return None
    moment = received_at if ts is None else _time(ts, "ts", received_at)
    message_id = None if sent.message_id is None else _message_id(sent.message_id)
    return Message(moment, received_at, None, payload, _encode(payload), None, message_id)


def _decode_telemetry(body: bytes, received_at: int) -> list[Message]:
    if body.lstrip()[:1] == b"[":
        _check_size(body, BATCH_BYTES, "A batch")
        items = _parse(body, _list_decoder.decode)
        if not 0 < len(items) <= BATCH_MESSAGES:
            raise invalid("batch_size", f"A batch holds 1 to {BATCH_MESSAGES} messages; this one has {len(items)}.")
        for item in items:
            _check_size(memoryview(item), MESSAGE_BYTES, "A message")
        return [message_from(_parse(item), received_at) for item in items]
    _check_size(body, MESSAGE_BYTES, "A message")
    return [message_from(_parse(body), received_at)]


def _check_size(data: bytes | memoryview, limit: int, what: str) -> None:
    if len(data) > limit:
        raise too_large(f"{what} may have {limit:,} bytes of JSON; this one has {len(data):,}.")


def _parse(data: Any, decoder: Callable[[Any], Any] = _any_decoder.decode) -> Any:
    try:
        return decoder(data)
    except msgspec.ValidationError as error:
        raise invalid("invalid_json_value", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"This is not JSON: {error}.") from None
    except RecursionError:
        raise invalid("too_deep", f"Objects may be nested {DEPTH} deep.") from None


def message_from(sent: Any, received_at: int) -> Message:
    """The message in an envelope or a bare payload that was parsed. Raises Refusal."""
    if type(sent) is not dict:
        raise invalid("not_an_object", 'A message is a JSON object, such as {"temp_c": 21.5}.')
    if ENVELOPE.isdisjoint(sent):
        payload, event_type, ts, message_id = sent, None, None, None
    else:
        payload, event_type, ts, message_id = _open_envelope(sent, received_at)
    readings: dict[str, Value] = {}
    whole = _flatten(payload, readings, "", 0)
    if event_type is None and not readings:
        raise invalid("no_readings", "A message without an `event_type` needs at least one number or boolean.")
    return Message(
        received_at if ts is None else ts,
        received_at,
        event_type,
        readings,
        _encode(payload if event_type is not None or whole else readings),
        None,
        message_id,
    )


def _check_key(key: str) -> None:
    if not 0 < len(key) <= KEY_LENGTH or not key.isprintable():
        raise invalid("invalid_key", f"Keys have 1 to {KEY_LENGTH} printable characters: {key[:80]!r}.")
    if len(_known_keys) < KNOWN_KEYS:
        _known_keys.add(key)


def _open_envelope(sent: dict[str, Any], received_at: int) -> tuple[dict[str, Any], str | None, int | None, str | None]:
    """Payload, event type, time in ms and message id of an envelope, each checked."""
    if len(sent) > 4 or not ENVELOPE.issuperset(sent):
        unknown = ", ".join(sorted(set(sent) - ENVELOPE))[:100]
        raise invalid("unknown_field", f"Beside `payload` there may be event_type, ts and message_id, not: {unknown}.")
    payload = sent.get("payload")
    if type(payload) is not dict:
        raise invalid("payload_missing", "`payload` must be an object with the values of this message.")
    event_type = sent.get("event_type")
    if event_type is not None:
        _check_word(event_type, "event_type", KEY_LENGTH)
    ts = sent.get("ts")
    if ts is not None:
        ts = _time(ts, "ts", received_at)
    return payload, event_type, ts, _message_id(sent.get("message_id"))


def _message_id(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    _check_word(value, "message_id", MESSAGE_ID_LENGTH)
    return str(value)


def _check_word(value: Any, field: str, limit: int) -> None:
    if type(value) is not str or not 0 < len(value) <= limit or not value.isprintable():
        raise invalid("invalid_" + field, f"`{field}` must be a text of 1 to {limit} printable characters.")


def _flatten(node: dict[str, Any], readings: dict[str, Value], prefix: str, depth: int) -> bool:
    """Adds the numeric and boolean leaves of `node` under dotted keys; says whether `node` was nothing but these.

    Leaves inside lists are no series: a list has no names for them. An event keeps its lists in its document.
    """
    plain = depth == 0
    for name, value in node.items():
        if name not in _known_keys:
            _check_key(name)
        kind = type(value)
        if kind is float or kind is bool or kind is int:
            if kind is int and not INT64_MIN <= value <= INT64_MAX:
                raise invalid("number_too_large", f"`{name}` does not fit into 64 bits.")
            key = prefix + name
            if prefix and len(key) > KEY_LENGTH:
                raise invalid("invalid_key", f"Dotted keys have at most {KEY_LENGTH} characters: {key[:80]!r}.")
            if key in readings:
                raise invalid("duplicate_key", f"`{key}` is there twice, once dotted and once nested.")
            readings[key] = value
        else:
            plain = False
            _flatten_inner(name, value, readings, prefix, depth)
    return plain


def flatten(payload: dict[str, Any]) -> dict[str, Value]:
    """The readings of an event's document that was accepted before."""
    readings: dict[str, Value] = {}
    _flatten(payload, readings, "", 0)
    return readings


def _flatten_inner(name: str, value: Any, readings: dict[str, Value], prefix: str, depth: int) -> None:
    if type(value) is dict:
        if depth >= DEPTH:
            raise invalid("too_deep", f"Objects may be nested {DEPTH} deep.")
        _flatten(value, readings, f"{prefix}{name}.", depth + 1)
    elif type(value) is list:
        _check_list(value, depth + 1)


def _check_list(items: list[Any], depth: int) -> None:
    if depth > DEPTH:
        raise invalid("too_deep", f"Objects may be nested {DEPTH} deep.")
    for item in items:
        if type(item) is dict:
            _flatten(item, {}, "", depth)
        elif type(item) is list:
            _check_list(item, depth + 1)


def _time(value: Any, field: str, received_at: int) -> int:
    """`value` (RFC 3339 or integer milliseconds) in milliseconds, when a device's clock can mean it."""
    if type(value) is int:
        moment = value
    elif type(value) is str:
        try:
            moment = parse_time(value)
        except ValueError:
            raise _no_time(field) from None
    else:
        raise _no_time(field)
    if moment < EARLIEST_MS:
        raise invalid(
            "time_too_early", f"`{field}` is before 2000: is it in seconds, or is the device's clock not set?"
        )
    if moment > received_at + AHEAD_MS:
        raise invalid("time_in_future", f"`{field}` is more than a day ahead of the hub's clock.")
    return moment


def _no_time(field: str) -> Refusal:
    return invalid("invalid_time", f"`{field}` must be RFC 3339 or integer milliseconds since 1970.")


def _decode_readings(body: bytes, received_at: int) -> list[Message]:
    _check_size(body, BATCH_BYTES, "A batch of readings")
    sent = _parse(body)
    message_id = None
    if type(sent) is dict and "readings" in sent:
        if not {"readings", "message_id"}.issuperset(sent):
            raise invalid("unknown_field", "Beside `readings` there may be a `message_id`, nothing else.")
        message_id = _message_id(sent.get("message_id"))
        sent = sent["readings"]
    elif type(sent) is dict:
        sent = [sent]
    if type(sent) is not list:
        raise invalid("not_readings", 'Send {"readings": [{"sensor_type": "temp_c", "value": 21.5}]}.')
    if not 0 < len(sent) <= BATCH_MESSAGES:
        raise invalid("batch_size", f"Send 1 to {BATCH_MESSAGES} readings at a time; these are {len(sent)}.")
    return list(_gather(sent, message_id, received_at))


def _gather(sent: list[Any], message_id: str | None, received_at: int) -> Iterable[Message]:
    """Readings of one moment become one message, so that a device's columns share their timestamps."""
    moments: dict[tuple[int, int], Message] = {}
    for item in sent:
        key, value, unit, ts = reading_from(item, received_at)
        turn = 0
        while (message := moments.get((ts, turn))) is not None and key in message.readings:
            turn += 1
        if message is None:
            message = moments[ts, turn] = Message(ts, received_at, None, {}, b"")
        message.readings[key] = value
        if unit is not None:
            message.units = {**(message.units or {}), key: unit}
    for number, message in enumerate(moments.values()):
        message.payload = _encode(message.readings)
        _check_size(message.payload, MESSAGE_BYTES, "The readings of one moment")
        if message_id is not None:
            message.message_id = message_id if len(moments) == 1 else f"{message_id}#{number}"
    return moments.values()


def reading_from(item: Any, received_at: int) -> tuple[str, Value, str | None, int]:
    """Key, value, unit and time (ms) of a reading that was parsed. Raises Refusal."""
    if type(item) is not dict or not READING.issuperset(item):
        raise invalid("not_a_reading", "A reading is {sensor_type, value, unit?, timestamp?}.")
    key: Any = item.get("sensor_type")
    value: Any = item.get("value")
    unit: Any = item.get("unit")
    _check_word(key, "sensor_type", KEY_LENGTH)
    if type(value) not in (int, float, bool):
        raise invalid("invalid_value", f"The value of `{key}` must be a number or a boolean.")
    if type(value) is int and not INT64_MIN <= value <= INT64_MAX:
        raise invalid("number_too_large", f"`{key}` does not fit into 64 bits.")
    if unit is not None:
        _check_word(unit, "unit", UNIT_LENGTH)
    sent_at = item.get("timestamp")
    return str(key), value, unit, received_at if sent_at is None else _time(sent_at, "timestamp", received_at)


__all__ = ["BATCH_BYTES", "MESSAGE_BYTES", "Refusal", "decode", "flatten", "message_from", "reading_from"]
