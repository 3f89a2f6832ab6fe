"""What the hub's users may change: by the task `config.apply`, or as `config` in the shadow's desired side."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "config.json"
LEAST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 86_400.0


class ConfigRefused(Exception):  # noqa: N818 - what became of the wish
    """The wish cannot be granted; the sentence says why. Nothing of it was applied."""


class AppliedConfig:
    """Kept in `folder`, so that it stands after a restart. `changed` is set whenever something was applied."""

    def __init__(self, folder: Path, interval_s: float) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {"interval_s": interval_s, "paused": False}
        self.changed = threading.Event()
        try:
            self._values |= _checked(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ConfigRefused):
            # Never applied, or damaged by a power cut: the settings of the machine hold.
            self._path.unlink(missing_ok=True)

    @property
    def interval_s(self) -> float:
        """Seconds between samples."""
        return float(self._values["interval_s"])

    @property
    def paused(self) -> bool:
        """Whether nothing is sampled."""
        return bool(self._values["paused"])

    def values(self) -> dict[str, Any]:
        """What holds now."""
        with self._lock:
            return dict(self._values)

    def apply(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Change some values, all or none; answers what holds then.

        Raises ConfigRefused; OSError: it could not be kept.
        """
        values = _checked(wanted)
        with self._lock:
            merged = self._values | values
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(merged), encoding="utf-8")
            new.replace(self._path)
            self._values = merged
            self.changed.set()
            return dict(merged)


def _checked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(wanted) - {"interval_s", "paused"})
    if unknown:
        raise ConfigRefused(f"The agent has no setting {', '.join(unknown)}; it has interval_s and paused.")
    interval_s = wanted.get("interval_s", LEAST_INTERVAL_S)
    if isinstance(interval_s, bool) or not isinstance(interval_s, int | float):
        raise ConfigRefused("interval_s is a number of seconds.")
    if not LEAST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
        raise ConfigRefused(f"interval_s is from {LEAST_INTERVAL_S:.0f} to {LONGEST_INTERVAL_S:.0f} seconds.")
    if not isinstance(wanted.get("paused", False), bool):
        raise ConfigRefused("paused is true or false.")
    return dict(wanted)
