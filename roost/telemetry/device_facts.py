"""What a device's health depends on and telemetry knows: its newest values, and when its last messages came."""

from roost.devices.health.facts import LatestValue, TelemetryFacts
from roost.telemetry.log import LogUnavailable
from roost.telemetry.queries import TelemetryStore

_LAST_MESSAGES = 200


class SentByDevices:
    """Asks the store."""

    def __init__(self, store: TelemetryStore) -> None:
        self._store = store

    async def facts(self, device_id: int) -> TelemetryFacts | None:
        """None while the store cannot be read."""
        try:
            rows = await self._store.recent([device_id], _LAST_MESSAGES)
            readings = await self._store.latest(device_id) if rows else []
        except LogUnavailable:
            return None
        return TelemetryFacts(
            latest=[LatestValue(one.sensor_type, one.value, one.unit, one.timestamp) for one in readings],
            observed_ms=[row.observed_at for row in rows],
            last_received_ms=max((row.received_at for row in rows), default=None),
        )
