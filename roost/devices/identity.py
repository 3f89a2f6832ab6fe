"""Who a device is, apart from how that is found out: what handles telemetry needs no database for it."""

from dataclasses import dataclass


@dataclass(slots=True)
class DeviceIdentity:
    """Who sends: all that the hot paths need to know about a device."""

    device_id: int
    device_uid: str
    organization_id: int
    home_id: int | None
