"""What higher rooms tell this one. `rooms.py` puts their answers into `app.state`; here is the silent one."""

from typing import Protocol


class PendingWork(Protocol):
    """Who knows what waits for a device."""

    async def pending(self, device_id: int) -> dict[str, int]:
        """How much of each kind of work waits, such as `{"tasks": 2}`."""
        ...


class HubLoad(Protocol):
    """Who knows whether the hub has more to do than it can."""

    def back_off_s(self) -> int:
        """Seconds that a device had better stay away beyond its usual pause; 0 when the hub has room."""
        ...


class NoLoad:
    def back_off_s(self) -> int:
        return 0
