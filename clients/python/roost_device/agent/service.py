"""The agent at work: samples into the spool, tasks and shadow beside it."""

import logging
import platform
import signal
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

from roost_device import Device, __version__
from roost_device.agent.config import AppliedConfig, ConfigRefused
from roost_device.agent.sampling import HostSampler, Samplers, plugged_in
from roost_device.agent.settings import AgentSettings
from roost_device.agent.skills import RecentLines, teach
from roost_device.device import Transport

_log = logging.getLogger(__name__)


def open_device(settings: AgentSettings) -> Device:
    """This machine as a device. Raises ValueError, OSError."""
    return Device(
        settings.url,
        settings.folder,
        settings.device_uid,
        transport=cast("Transport", settings.transport),
        mqtt_port=settings.mqtt_port,
        ca=settings.ca,
        firmware_version=f"roost-agent {__version__}",
        capabilities={"agent": True, "allow": settings.allow},
        spool_capacity=settings.spool_messages,
    )


class Agent:
    """Runs until `stop()` is called, or until SIGTERM or SIGINT when it has the main thread (`handle_signals`)."""

    def __init__(self, settings: AgentSettings, recent: RecentLines) -> None:
        self._device = open_device(settings)
        self._config = AppliedConfig(settings.folder, settings.interval_s)
        self._samplers = Samplers(
            {"host": HostSampler(settings.folder)} | plugged_in(settings.samplers, settings.commands)
        )
        self._stopping = threading.Event()
        teach(self._device, settings, self._config, recent)
        self._device.on_delta(self._apply_delta)

    def handle_signals(self) -> None:
        """End in good order when the system says so."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Let `run()` return."""
        self._stopping.set()
        self._config.changed.set()

    def run(self) -> None:
        """Raises NotPaired."""
        with self._device as device:
            _log.info("Device %s (%s) is at work.", device.identity.device_id, device.identity.device_uid)
            device.report({"config": self._config.values(), "agent": _about()})
            due = time.monotonic()
            while not self._stopping.is_set():
                if not self._config.paused:
                    self._sample()
                # In step with the clock, but never twice to catch up.
                due = max(due + self._config.interval_s, time.monotonic())
                if self._config.changed.wait(due - time.monotonic()):
                    self._config.changed.clear()
                    due = time.monotonic()

    def _sample(self) -> None:
        try:
            self._device.send(self._samplers.sample())
        except (ValueError, sqlite3.Error) as error:
            _log.error("A sample is lost: %s", error)

    def _apply_delta(self, delta: Mapping[str, Any]) -> Mapping[str, Any] | None:
        wanted = delta.get("config")
        if not isinstance(wanted, dict):
            return None
        try:
            return {"config": self._config.apply(wanted), "config_refused": None}
        except ConfigRefused as error:
            _log.warning("The wished configuration is refused: %s", error)
            return {"config_refused": str(error)}


def _about() -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
    }
