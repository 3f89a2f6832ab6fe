"""How many messages a device may send."""

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

    def take(self, device_id: int, now_ms: int) -> Refusal | None:
        """None when the message may pass, otherwise the refusal with the seconds to wait."""
        if not self._per_minute:
            return None
        whole_at = max(self._whole_at.get(device_id, 0.0), now_ms) + self._interval_ms
        wait_ms = whole_at - now_ms - 60_000
        if wait_ms > 0.5:
            return too_often(self._per_minute, max(1, ceil(wait_ms / 1000)))
        self._whole_at[device_id] = whole_at
        return None

    def forget(self, device_id: int) -> None:
        self._whole_at.pop(device_id, None)
