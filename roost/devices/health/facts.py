"""What is known of a device, as far as its health depends on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from roost.devices.presence_memory import PresenceView


class LatestValue(NamedTuple):
    """The newest value of one series; `at_ms` in milliseconds since 1970, by the device's clock."""

    key: str
    value: float | bool
    unit: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class TelemetryFacts:
    """What the device has sent: its newest values, and when its last messages were observed and received (ms)."""

    latest: Sequence[LatestValue] = ()
    observed_ms: Sequence[int] = ()
    last_received_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is judged. Without `telemetry` it could not be read at the moment."""

    now: datetime
    presence: PresenceView
    telemetry: TelemetryFacts | None
    # Lines of its log in the last 24 hours: errors and worse, and messages that the hub refused.
    errors: int = 0
    refusals: int = 0
    firmware_version: str | None = None
    firmware_at: datetime | None = None
    # How many others of its type in the organization run which version.
    peers: dict[str, int] = field(default_factory=dict)


class DeviceTelemetry(Protocol):
    """Who knows what a device has sent."""

    async def facts(self, device_id: int) -> TelemetryFacts | None:
        """None while it cannot be read."""
        ...
