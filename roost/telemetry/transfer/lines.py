"""Lines of a file that comes in, as readings and events: the same JSON lines that go out. Pure: no clock, no I/O.

A reading is `{"device_uid", "sensor_type", "time", "value", "unit"?}`, an event `{"device_uid", "event_type", "time",
"payload", "message_id"?}`. What an export says besides (`device_id`, `id`, `received_at`) may be there.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from roost.telemetry.decode import MESSAGE_BYTES, message_from, reading_from
from roost.telemetry.messages import Message, Value
from roost.telemetry.refusals import Refusal, invalid, malformed, too_large

READING = frozenset({"device_id", "device_uid", "sensor_type", "time", "value", "unit"})
EVENT = frozenset({"id", "device_id", "device_uid", "event_type", "time", "received_at", "message_id", "payload"})

_decode = msgspec.json.Decoder().decode


class ReadingLine(NamedTuple):
    """`observed_at` in milliseconds since 1970 UTC."""

    number: int
    device_id: int | None
    device_uid: str
    key: str
    value: Value
    unit: str | None
    observed_at: int


class EventLine(NamedTuple):
    number: int
    device_id: int | None
    device_uid: str
    message: Message


class Refused(NamedTuple):
    """A line that is not taken, and why."""

    number: int
    detail: str


def parse_lines(body: bytes, received_at: int) -> tuple[list[ReadingLine | EventLine], list[Refused]]:
    """What is in the lines, each judged for itself; blank ones count, and are passed over."""
    found: list[ReadingLine | EventLine] = []
    refused: list[Refused] = []
    for number, line in enumerate(body.splitlines(), 1):
        if line and not line.isspace():
            try:
                found.append(_parse(number, line, received_at))
            except Refusal as refusal:
                refused.append(Refused(number, refusal.detail))
    return found, refused


def _parse(number: int, line: bytes, received_at: int) -> ReadingLine | EventLine:
    try:
        sent = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"This is not JSON: {error}.") from None
    if type(sent) is not dict:
        raise invalid("not_an_object", "A line is a JSON object.")
    device_id, device_uid = sent.get("device_id"), sent.get("device_uid")
    if type(device_uid) is not str or not device_uid:
        raise invalid("device_missing", "`device_uid` names the device.")
    if type(device_id) is not int:
        device_id = None
    if "event_type" in sent:
        return EventLine(number, device_id, device_uid, _event(sent, line, received_at))
    _only(sent, READING)
    if sent.get("time") is None:
        raise invalid("time_missing", "`time` says when: history without it is none.")
    item = {"sensor_type": sent.get("sensor_type"), "value": sent.get("value"), "timestamp": sent["time"]}
    key, value, unit, observed_at = reading_from({**item, "unit": sent.get("unit")}, received_at)
    return ReadingLine(number, device_id, device_uid, key, value, unit, observed_at)


def _event(sent: dict[str, Any], line: bytes, received_at: int) -> Message:
    _only(sent, EVENT)
    if len(line) > MESSAGE_BYTES + 1024:
        raise too_large(f"An event may have {MESSAGE_BYTES:,} bytes of JSON.")
    if sent.get("time") is None:
        raise invalid("time_missing", "`time` says when: history without it is none.")
    envelope = {"payload": sent.get("payload"), "event_type": sent["event_type"], "ts": sent["time"]}
    return message_from({**envelope, "message_id": sent.get("message_id")}, received_at)


def _only(sent: dict[str, Any], known: Iterable[str]) -> None:
    unknown = set(sent).difference(known)
    if unknown:
        raise invalid("unknown_field", f"There is no field {min(unknown)[:80]!r} here.")
