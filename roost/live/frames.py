"""The frames of the live sockets: JSON objects that say in `type` what they are."""

from functools import lru_cache
from typing import Any

import msgspec

from roost.core.clock import rfc3339, rfc3339_from_ms
from roost.devices.models import DeviceLog
from roost.telemetry.messages import Committed, Value

READY = '{"type":"ready"}'
AUTHENTICATED = '{"type":"authenticated"}'
PING = '{"type":"ping"}'
PONG = '{"type":"pong"}'

MAX_INCOMING_CHARS = 8192


class LiveReading(msgspec.Struct, gc=False):
    """One value of one series; `timestamp` in RFC 3339."""

    sensor_type: str
    value: Value
    unit: str | None
    timestamp: str


class TelemetryFrame(msgspec.Struct, tag_field="type", tag="telemetry", gc=False):
    """One committed message: `ts` by the device's clock, `received_at` by ours."""

    device_id: int
    device_uid: str
    event_type: str | None
    ts: str
    received_at: str
    readings: list[LiveReading]


class StatusFrame(msgspec.Struct, tag_field="type", tag="status", gc=False):
    """A device came, went or changed its state."""

    device_id: int
    status: str
    since: str | None
    last_seen_at: str | None
    reason: str | None
    cause: str | None


class ShadowFrame(msgspec.Struct, tag_field="type", tag="shadow", gc=False):
    """One side of a device's shadow has changed: `patch` says how, `delta` what is left to do."""

    device_id: int
    side: str
    patch: dict[str, Any]
    delta: dict[str, Any]
    desired_version: int
    reported_version: int
    delta_version: int
    changed_at: str


class LogFrame(msgspec.Struct, tag_field="type", tag="log", gc=False):
    """One line of a device's log: `timestamp` by the device's clock, `received_at` by ours."""

    device_id: int
    id: int
    timestamp: str
    received_at: str
    level: str
    source: str
    message: str


class TaskFrame(msgspec.Struct, tag_field="type", tag="task", gc=False):
    """Something happened to a task: what its state is now."""

    task_id: int
    device_id: int
    bulk_id: int | None
    task_type: str
    status: str
    attempt: int
    progress_percent: float | None
    progress_note: str | None
    reason: str | None
    at: str


class DroppedFrame(msgspec.Struct, tag_field="type", tag="dropped", gc=False):
    """So many frames are missing here, because this reader was too slow for them."""

    count: int


class Incoming(msgspec.Struct):
    """What a client may send: `authenticate` with a token, `ping`, `pong`."""

    type: str
    token: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Incoming)


def telemetry_frame(committed: Committed) -> str:
    """The frame of one committed message."""
    device, message = committed
    ts = _time(message.observed_at)
    units = message.units or {}
    readings = [LiveReading(name, value, units.get(name), ts) for name, value in message.readings.items()]
    received_at = _time(message.received_at)
    frame = TelemetryFrame(device.device_id, device.device_uid, message.event_type, ts, received_at, readings)
    return _encoder.encode(frame).decode()


def _time(milliseconds: int) -> str:
    # Messages of one moment share its second, and spelling that out is most of the work.
    second, rest = divmod(milliseconds, 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return rfc3339_from_ms(second * 1000)[: len("2026-01-31T12:00:00")]


def status_frame(event: dict[str, object]) -> str:
    """The frame of one `device.status_changed` message."""
    return _encoder.encode(msgspec.convert(event, StatusFrame)).decode()


def shadow_frame(event: dict[str, object]) -> str:
    """The frame of one `device_shadow.changed` message."""
    return _encoder.encode(msgspec.convert(event, ShadowFrame)).decode()


def log_frame(line: DeviceLog) -> str:
    """The frame of one line."""
    at, received_at = rfc3339(line.observed_at), rfc3339(line.received_at)
    frame = LogFrame(line.device_id, line.id, at, received_at, line.level, line.source, line.message)
    return _encoder.encode(frame).decode()


def task_frame(event: dict[str, object]) -> str:
    """The frame of one entry of `task.changed`."""
    return _encoder.encode(msgspec.convert(event, TaskFrame)).decode()


def dropped_frame(count: int) -> str:
    """The frame that says how many are missing."""
    return _encoder.encode(DroppedFrame(count)).decode()


def parse_incoming(text: str) -> Incoming:
    """Read a client's frame. Raises ValueError with a sentence for the client."""
    if len(text) > MAX_INCOMING_CHARS:
        raise ValueError(f"A frame may have {MAX_INCOMING_CHARS} characters.")
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ValueError(f"Not a frame of this socket: {error}.") from error
    except msgspec.DecodeError as error:
        raise ValueError("A frame is a JSON object.") from error
