"""How many messages a device may send."""

from collections.abc import Callable
from math import ceil

from roost.telemetry.refusals import Refusal, too_often


class MessageRate:
    """At most `per_minute` messages a minute for each device, the first `per_minute` of them at once; 0 = no limit.

    A message is one request or one PUBLISH: a batch counts once, because it is how a device catches up after it was
    away. Kept as one number a device (the moment at which its allowance is whole again), so that a hundred thousand
    devices cost a few MB and a check costs a look-up.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._interval_ms = 60_000 / per_minute if per_minute else 0.0
        self._whole_at: dict[int, float] = {}
        # What other processes have not been told of yet; None where there are none.
        self._taken: dict[int, int] | None = None
        self._tell: Callable[[], None] = _tell_nobody

    def share(self, tell: Callable[[], None]) -> None:
        """From now on `tell` is called when there is something to `collect` for other processes."""
        self._taken = {}
        self._tell = tell

    def collect(self) -> dict[int, int]:
        """How many messages of which devices were let through since the last time."""
        taken, self._taken = self._taken or {}, {}
        return taken

    def taken_elsewhere(self, device_id: int, count: int, now_ms: int) -> None:
        """Another process has let so many messages through."""
        self._whole_at[device_id] = max(self._whole_at.get(device_id, 0.0), now_ms) + self._interval_ms * count

    def take(self, device_id: int, now_ms: int) -> Refusal | None:
        """None when the message may pass, otherwise the refusal with the seconds to wait."""
        if not self._per_minute:
            return None
        whole_at = max(self._whole_at.get(device_id, 0.0), now_ms) + self._interval_ms
        wait_ms = whole_at - now_ms - 60_000
        if wait_ms > 0.5:
            return too_often(self._per_minute, max(1, ceil(wait_ms / 1000)))
        self._whole_at[device_id] = whole_at
        if self._taken is not None:
            if not self._taken:
                self._tell()
            self._taken[device_id] = self._taken.get(device_id, 0) + 1
        return None

    def forget(self, device_id: int) -> None:
        self._whole_at.pop(device_id, None)


def _tell_nobody() -> None:
    return None
