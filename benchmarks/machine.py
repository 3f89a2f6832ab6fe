"""What the figures were measured on: without it they say nothing."""

import os
import platform
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import apsw
import psutil

from roost import __version__


def describe_machine(data_folder: Path) -> dict[str, Any]:
    """Processor, memory, kernel, versions, and how long this disk takes to make a small write safe."""
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": {"state": sqlite3.sqlite_version, "telemetry": apsw.sqlite_lib_version()},
        "roost": __version__,
        "commit": _commit(),
        "fsync_ms": round(_fsync_ms(data_folder), 3),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
    }


def described(machine: dict[str, Any]) -> str:
    """A sentence of what `describe_machine` found."""
    return (
        f"{machine['measured_at']}, commit {machine['commit']}: {machine['processor']}, {machine['cores']} cores,"
        f" {machine['memory_gib']} GiB, {machine['kernel']}, Python {machine['python']}, SQLite"
        f" {machine['sqlite']['telemetry']}; an fsync of 4 KiB takes {machine['fsync_ms']} ms; load average before"
        f" {machine['load_average_before'][0]}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], check=False, capture_output=True, text=True)
    return described.stdout.strip()


def _fsync_ms(folder: Path) -> float:
    """Median time to append 4 KiB and fsync."""
    times = []
    with (folder / "fsync-probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[50] * 1000
