"""From a message of another broker to the body that the telemetry path takes. Pure functions."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from roost.bridges.topics import TopicPattern, device_uid_of, fill
from roost.core.clock import rfc3339
from roost.telemetry.decode import ENVELOPE, MESSAGE_BYTES

_WORDS = {
    **dict.fromkeys(("true", "on", "open", "yes"), True),
    **dict.fromkeys(("false", "off", "closed", "no"), False),
}
_SECONDS_BELOW = 100_000_000_000

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Source:
    """One pattern of topics and what its messages are.

    `device_uid` and `key` are templates over the pattern's names. With `key` a message is one value (or a document
    below that key), without it a document. `time_field` names the top field that holds the device's own time;
    `event_type` makes every message an event.
    """

    pattern: TopicPattern
    device_uid: str = "{device}"
    key: str | None = None
    time_field: str | None = None
    event_type: str | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """Whose message it is, and the telemetry in it."""

    device_uid: str
    body: bytes


class Unmappable(Exception):  # noqa: N818 - it reads as what it says
    """A message that says nothing to Roost; the sentence says why."""


def map_message(sources: tuple[Source, ...], topic: str, payload: bytes) -> Mapped:
    """The first source whose pattern fits decides. Raises Unmappable."""
    for source in sources:
        values = source.pattern.match(topic)
        if values is not None:
            break
    else:
        raise Unmappable("No source has a pattern that fits this topic.")
    device_uid = device_uid_of(source.device_uid, values)
    if device_uid is None:
        spelled = fill(source.device_uid, values)[:80]
        raise Unmappable(f"No device can be called {spelled!r}: a uid has 3 to 64 letters, digits and . _ : -")
    if len(payload) > MESSAGE_BYTES:
        raise Unmappable(f"A message may have {MESSAGE_BYTES:,} bytes; this one has {len(payload):,}.")
    return Mapped(device_uid, _body(source, values, payload))


def _body(source: Source, values: dict[str, str], payload: bytes) -> bytes:
    document = _document(payload)
    if source.key is None:
        if type(document) is not dict:
            raise Unmappable("It is no JSON object; to take a bare value, give the source a `key`.")
        return _encode(_envelope(source, document))
    key = fill(source.key, values)
    if type(document) is dict:
        return _encode(_envelope(source, document, key))
    return _encode({"payload": {key: _value(document)}} | _kind(source))


def _document(payload: bytes) -> Any:
    """The JSON in it; what is none is a word."""
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return payload.decode(errors="replace").strip()
    except RecursionError:
        raise Unmappable("It is nested too deeply.") from None


def _value(document: Any) -> int | float | bool:
    if type(document) in {int, float, bool}:
        value: int | float | bool = document
        return value
    word = document.strip().lower() if type(document) is str else ""
    if word in _WORDS:
        return _WORDS[word]
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unmappable("It is neither a number nor on, off, true, false, open, closed, yes or no.")
    return number


def _envelope(source: Source, document: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """What the telemetry path takes. A document that is an envelope already goes on as it is."""
    if key is None and type(document.get("payload")) is dict and ENVELOPE.issuperset(document):
        return document
    moment = None
    if source.time_field is not None and source.time_field in document:
        # The time is no series of its own.
        document = dict(document)
        moment = document.pop(source.time_field)
    envelope: dict[str, Any] = {"payload": document if key is None else {key: document}} | _kind(source)
    if moment is not None:
        envelope["ts"] = _time(moment)
    return envelope


def _kind(source: Source) -> dict[str, str]:
    return {} if source.event_type is None else {"event_type": source.event_type}


def _time(moment: Any) -> Any:
    """The device's time in a spelling that the telemetry path knows; what is no time is refused there.

    Seconds since 1970 are told from milliseconds by their size; a time without a zone is taken for UTC.
    """
    if type(moment) is float:
        moment = round(moment * 1000) if moment < _SECONDS_BELOW else round(moment)
    elif type(moment) is int and moment < _SECONDS_BELOW:
        moment *= 1000
    elif type(moment) is str:
        try:
            parsed = datetime.fromisoformat(moment)
        except ValueError:
            return moment
        return rfc3339(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    return moment
