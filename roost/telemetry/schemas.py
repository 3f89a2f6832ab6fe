"""What crosses the wire when telemetry is read."""

from typing import Any

from pydantic import BaseModel, Field

from roost.core.clock import rfc3339_from_ms
from roost.telemetry.log import Row
from roost.telemetry.messages import Reading, Value


class ReadingOut(BaseModel):
    sensor_type: str = Field(examples=["temp_c"])
    value: Value
    unit: str | None
    timestamp: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])
    averaged_s: int | None = Field(
        None,
        description="Where only buckets are kept of older readings: the average of so many seconds from then on.",
    )

    @classmethod
    def of(cls, reading: Reading) -> "ReadingOut":
        return cls(**shown(reading))


def shown(reading: Reading) -> dict[str, Any]:
    """A reading as `ReadingOut` has it, for long answers that go out without a model."""
    out: dict[str, Any] = {
        "sensor_type": reading.sensor_type,
        "value": reading.value,
        "unit": reading.unit,
        "timestamp": rfc3339_from_ms(reading.timestamp),
    }
    if reading.averaged_ms:
        out["averaged_s"] = reading.averaged_ms // 1000
    return out


class BucketOut(BaseModel):
    """The asked aggregates of one series in one stretch of time; those not asked for are absent.

    Booleans count as 0 and 1. Null: nothing was heard, or no double can hold it. `stddev` is that of all readings of
    the bucket, not an estimate from a sample; percentiles are interpolated between the two nearest readings.
    """

    sensor_type: str
    unit: str | None
    bucket: str = Field(description="Start of the bucket, RFC 3339, UTC.")
    avg: float | None = None
    min: float | None = None
    max: float | None = None
    sum: float | None = None
    count: int | None = None
    first: float | None = None
    last: float | None = None
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    stddev: float | None = None


class StatsOut(BaseModel):
    """One series over the asked time; booleans count as 0 and 1."""

    sensor_type: str
    unit: str | None
    count: int
    min: float
    max: float
    avg: float | None = Field(description="Null when no double can hold it, as with `sum`.")
    sum: float | None
    first: float
    last: float
    first_at: str
    last_at: str


class TrendOut(BucketOut):
    """The asked aggregates of one series of a group of devices in one stretch of time; ids as far as asked `by`."""

    devices: int = Field(description="How many devices gave readings here.")
    device_id: int | None = None
    home_id: int | None = None
    organization_id: int | None = None
    device_type: str | None = None


class SensorSummaryOut(BaseModel):
    """One series of all devices together, over the asked time."""

    sensor_type: str
    unit: str | None
    devices: int = Field(description="How many devices sent it.")
    readings: int
    min: float
    max: float
    avg: float | None
    last_at: str


class SpanOut(BaseModel):
    """A stretch of time: its start, and its end, which does not belong to it."""

    start: str
    end: str


class DeviceSummaryOut(BaseModel):
    """What one device sent in the asked time."""

    device_id: int
    name: str
    readings: int
    series: int
    last_at: str | None = Field(description="Its newest reading of the asked time.")
    completeness: float = Field(description="Share of the buckets, 0 to 1, in which it was heard.")
    gaps: list[SpanOut] = Field(description="The ten longest runs of buckets in which it was not heard, by time.")


class SummaryOut(BaseModel):
    """What came from all devices in reach in the asked time, and from those that were heard least."""

    start: str
    end: str
    buckets: int = Field(description="Into how many stretches the time was divided for `completeness`.")
    devices: int
    devices_heard: int
    series: int
    readings: int
    last_at: str | None
    by_sensor_type: list[SensorSummaryOut]
    by_device: list[DeviceSummaryOut]


class MessageOut(BaseModel):
    """A message as kept: an event's document as sent, otherwise its readings under dotted keys."""

    id: int
    device_id: int
    event_type: str | None
    payload: dict[str, Any]
    message_id: str | None
    ts: str = Field(description="The device's clock, RFC 3339, UTC; the hub's when the device sent none.")
    received_at: str = Field(description="The hub's clock.")

    @classmethod
    def of(cls, row: Row) -> "MessageOut":
        return cls(
            id=row.id,
            device_id=row.device_id,
            event_type=row.event_type,
            payload=row.document(),
            message_id=row.message_id,
            ts=rfc3339_from_ms(row.observed_at),
            received_at=rfc3339_from_ms(row.received_at),
        )
