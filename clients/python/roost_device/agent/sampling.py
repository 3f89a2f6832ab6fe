"""What the machine measures: itself by psutil, and whatever is plugged in."""

import importlib
import json
import logging
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

COMMAND_TIMEOUT_S = 20.0
_MEBIBYTE = 2**20
_GIGABYTE = 10**9
_PROCESSOR_SENSORS = ("cpu_thermal", "coretemp", "k10temp", "zenpower", "soc_thermal", "acpitz")

_log = logging.getLogger(__name__)

Sampler = Callable[[], Mapping[str, Any]]


class HostSampler:
    """This machine, under the names that a hub uses for its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = psutil.net_io_counters()
        self._at = time.monotonic()
        psutil.cpu_percent()

    def __call__(self) -> dict[str, Any]:
        """A sample; loads and rates are those since the one before."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._folder))
        values: dict[str, Any] = {
            "cpu_percent": psutil.cpu_percent(),
            "load_1m": round(os.getloadavg()[0], 2),
            "memory_percent": memory.percent,
            "memory_used_mb": round((memory.total - memory.available) / _MEBIBYTE, 1),
            "disk_percent": disk.percent,
            "disk_free_gb": round(disk.free / _GIGABYTE, 2),
            "uptime_h": round((time.time() - psutil.boot_time()) / 3600, 2),
            "agent_rss_mb": round(psutil.Process().memory_info().rss / _MEBIBYTE, 1),
            **self._rates(),
        }
        temperature = _temperature_c()
        if temperature is not None:
            values["temperature_c"] = temperature
        return values

    def _rates(self) -> dict[str, float]:
        network, before, now = psutil.net_io_counters(), self._network, time.monotonic()
        elapsed_s, self._network, self._at = now - self._at, network, now
        if network is None or before is None or elapsed_s <= 0:
            return {}
        return {
            "sent_kb_per_s": round(max(0, network.bytes_sent - before.bytes_sent) / elapsed_s / 1000, 2),
            "received_kb_per_s": round(max(0, network.bytes_recv - before.bytes_recv) / elapsed_s / 1000, 2),
        }


class Samplers:
    """All of them. One that fails is said once in the log, and takes nothing away from the others."""

    def __init__(self, samplers: Mapping[str, Sampler]) -> None:
        self._samplers = samplers
        self._failing: set[str] = set()

    def sample(self) -> dict[str, Any]:
        """What all of them measure now, as one message; a plug-in's readings stand below its name."""
        values: dict[str, Any] = {}
        for name, sampler in self._samplers.items():
            try:
                sampled = dict(sampler())
                # What cannot be sent must fail here, where it is known whose it is.
                json.dumps(sampled, allow_nan=False)
            except Exception as error:  # noqa: BLE001 - a plug-in is somebody else's code
                if name not in self._failing:
                    self._failing.add(name)
                    _log.warning("The sampler %s fails: %s: %s", name, type(error).__name__, error)
                continue
            self._failing.discard(name)
            if name == "host":
                values |= sampled
            else:
                values[name] = sampled
        return values


def plugged_in(functions: list[str], commands: Mapping[str, str]) -> dict[str, Sampler]:
    """Samplers from `module:function` names and from command lines. Raises ValueError for one that cannot be loaded."""
    samplers: dict[str, Sampler] = {}
    for place in functions:
        module, _, function = place.partition(":")
        try:
            samplers[module.rpartition(".")[2]] = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"The sampler {place!r} is not a module:function that can be loaded: {error}") from None
    for name, line in commands.items():
        samplers[name] = _command(shlex.split(line))
    return samplers


def _command(arguments: list[str]) -> Sampler:
    def run() -> Mapping[str, Any]:
        # The owner of the machine wrote the line; no shell reads it.
        done = subprocess.run(arguments, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=True)  # noqa: S603
        return dict(json.loads(done.stdout))

    return run


def _temperature_c() -> float | None:
    try:
        chips = psutil.sensors_temperatures()
    except (AttributeError, OSError, RuntimeError, ValueError):
        # Not on this system, or a sensor that cannot be read now.
        return None
    for name in _PROCESSOR_SENSORS:
        values = [entry.current for entry in chips.get(name, ()) if entry.current is not None and entry.current > 0]
        if values:
            return round(max(values), 1)
    return None
