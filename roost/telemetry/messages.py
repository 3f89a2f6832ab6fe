"""What the ingest path carries and what the stages after the log receive."""

from typing import NamedTuple

import msgspec

from roost.devices.identity import DeviceIdentity

Value = int | float | bool


class Message(msgspec.Struct, gc=False):
    """One accepted message of one device.

    `observed_at` is the device's clock and `received_at` ours, both in milliseconds since 1970 UTC; they are equal
    when the device sent no time. `payload` is the JSON as kept: the document as sent for an event, otherwise the flat
    readings. `id` is the place in the log, 0 until it has one; it stays 0 for a resend that was already there.
    """

    observed_at: int
    received_at: int
    event_type: str | None
    readings: dict[str, Value]
    payload: bytes
    units: dict[str, str] | None = None
    message_id: str | None = None
    id: int = 0


class Committed(NamedTuple):
    """A message that is on disk, and the device that sent it."""

    device: DeviceIdentity
    message: Message


class Reading(msgspec.Struct, gc=False):
    """One value of one series; `timestamp` in milliseconds since 1970 UTC.

    With `averaged_ms` it is the average of that much time from there on, of which no single value is left.
    """

    sensor_type: str
    value: Value
    unit: str | None
    timestamp: int
    averaged_ms: int = 0
