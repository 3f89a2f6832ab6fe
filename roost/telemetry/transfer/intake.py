"""A part of a file that comes in, stored: checked line by line, without what is there already, on disk when it returns.

History is let in as it is, however old and however much at once; the rules for keys, values and times are those of
what devices send.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from roost.telemetry.decode import MESSAGE_BYTES
from roost.telemetry.log import Log, Readable
from roost.telemetry.messages import Message
from roost.telemetry.transfer.known import Mark, known_events, known_readings
from roost.telemetry.transfer.lines import EventLine, ReadingLine, Refused

APPENDED_AT_ONCE = 2_000
# Readings of one moment become one message; with more keys than this, several.
READINGS_A_MESSAGE = 50

_encode = msgspec.json.Encoder().encode


class Taken(NamedTuple):
    """How many readings and events are new on disk, and how many were there before."""

    stored: int
    known: int


async def take(
    log: Log, history: Readable, by_device: dict[int, list[ReadingLine | EventLine]], received_at: int
) -> tuple[Taken, list[Refused]]:
    """Stores lines of these devices by id; what is refused is too large for a message. Raises LogUnavailable.

    Readings are known if `history` has them.
    """
    stored = known = 0
    refused: list[Refused] = []
    for device_id, lines in by_device.items():
        readings = [line for line in lines if isinstance(line, ReadingLine)]
        events = [line for line in lines if isinstance(line, EventLine)]
        new = await _new_readings(history, device_id, readings)
        messages = await asyncio.to_thread(_messages, new, received_at)
        fresh, too_large = await _new_events(log, device_id, events)
        refused += too_large
        await _append(log, device_id, [*messages, *fresh])
        stored += len(new) + len(fresh)
        known += len(lines) - len(new) - len(fresh) - len(too_large)
    return Taken(stored, known), refused


async def _new_readings(history: Readable, device_id: int, readings: Sequence[ReadingLine]) -> list[ReadingLine]:
    if not readings:
        return []
    first = await asyncio.to_thread(_by_mark, readings)
    known = await known_readings(history, device_id, set(first))
    return [line for mark, line in first.items() if mark not in known]


def _by_mark(readings: Iterable[ReadingLine]) -> dict[Mark, ReadingLine]:
    first: dict[Mark, ReadingLine] = {}
    for line in readings:
        first.setdefault((line.key, line.observed_at, line.value), line)
    return first


async def _new_events(log: Log, device_id: int, events: Sequence[EventLine]) -> tuple[list[Message], list[Refused]]:
    fitting = [line for line in events if len(line.message.payload) <= MESSAGE_BYTES]
    refused = [
        Refused(line.number, f"An event may have {MESSAGE_BYTES:,} bytes of JSON.")
        for line in events
        if len(line.message.payload) > MESSAGE_BYTES
    ]
    known = await known_events(log, device_id, [line.message for line in fitting])
    return [line.message for line, there in zip(fitting, known, strict=True) if not there], refused


def _messages(readings: Iterable[ReadingLine], received_at: int) -> list[Message]:
    """Readings of one moment as one message, so that a device's columns share their times; values again as another."""
    moments: dict[tuple[int, int], Message] = {}
    for line in readings:
        turn = 0
        while (message := moments.get((line.observed_at, turn))) is not None and (
            line.key in message.readings or len(message.readings) >= READINGS_A_MESSAGE
        ):
            turn += 1
        if message is None:
            message = moments[line.observed_at, turn] = Message(line.observed_at, received_at, None, {}, b"")
        message.readings[line.key] = line.value
        if line.unit is not None:
            message.units = {**(message.units or {}), line.key: line.unit}
    for message in moments.values():
        message.payload = _encode(message.readings)
    return list(moments.values())


async def _append(log: Log, device_id: int, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), APPENDED_AT_ONCE):
        part = messages[start : start + APPENDED_AT_ONCE]
        await log.append([device_id] * len(part), part)
