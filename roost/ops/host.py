"""Samples of this machine: processor, memory, disk, load, network, processes.

One sampler serves `/system/*` and the machine's own telemetry. Every method blocks (a sampling window sleeps for up to
two seconds): call them in a thread, `sampling.py` does.
"""

import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from roost.ops.temperature import processor_temperature_c

MEBIBYTE = 1024 * 1024
GIGABYTE = 10**9

CoreTimes = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ProcessorSample:
    """Percent busy per core and on average over the window; the clock of each core in MHz ([] where unknown)."""

    per_core_percent: list[float]
    average_percent: float
    frequencies_mhz: list[float]
    count: int


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Main memory in bytes; `used` is what programs cannot get (total minus available)."""

    total: int
    available: int
    used: int
    percent: float


@dataclass(frozen=True, slots=True)
class DiskSample:
    """The file system that holds the data folder, in bytes."""

    path: str
    total: int
    used: int
    free: int
    percent: float


@dataclass(frozen=True, slots=True)
class NetworkSample:
    """All interfaces together, since boot; None where the system does not count."""

    bytes_sent: int
    bytes_received: int
    packets_sent: int
    packets_received: int
    errors: int


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process: percent of one core over the window, and resident bytes."""

    pid: int
    name: str
    cpu_percent: float
    rss: int


@dataclass(frozen=True, slots=True)
class OwnSample:
    """This hub's own process."""

    pid: int
    rss: int
    cpu_seconds: float
    threads: int
    uptime_s: float


@dataclass(frozen=True, slots=True)
class HostSample:
    """Everything known about the machine at one moment. Temperature None: no sensor."""

    processor: ProcessorSample
    memory: MemorySample
    disk: DiskSample
    load: tuple[float, float, float]
    network: NetworkSample | None
    temperature_c: float | None
    uptime_s: float
    own: OwnSample
    top: list[ProcessSample] = field(default_factory=list)


class HostSampler:
    """Takes samples; `data_dir` chooses the file system whose space is reported."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process = psutil.Process()
        self._lock = threading.Lock()
        self._last_times = _core_times()

    def sample(self, window_s: float = 0.0, top_n: int = 0) -> HostSample:
        """Sample the machine; blocks for `window_s`.

        Without a window the processor's load is that since the previous sample, and that of a process its average since
        it started. `top_n` processes are listed, the busiest first.
        """
        before = _core_times() if window_s > 0 else None
        processes = _process_seconds() if top_n and window_s > 0 else {}
        started = time.monotonic()
        if window_s > 0:
            time.sleep(window_s)
        elapsed = time.monotonic() - started
        return HostSample(
            processor=self._processor(before),
            memory=_memory(),
            disk=self._disk(),
            load=_load(),
            network=_network(),
            temperature_c=processor_temperature_c(),
            uptime_s=max(0.0, time.time() - psutil.boot_time()),
            own=self._own(),
            top=_busiest(processes, elapsed, top_n) if top_n else [],
        )

    def free_disk_bytes(self) -> int:
        """Free space for the data folder, in bytes. Raises OSError when the folder is gone."""
        return shutil.disk_usage(self._data_dir).free

    def _processor(self, before: CoreTimes | None) -> ProcessorSample:
        now = _core_times()
        with self._lock:
            if before is None:
                before = self._last_times
            self._last_times = now
        percents = [_busy_percent(old, new) for old, new in zip(before, now, strict=False)]
        average = sum(percents) / len(percents) if percents else 0.0
        return ProcessorSample(percents, round(average, 1), _frequencies_mhz(), os.cpu_count() or len(now))

    def _disk(self) -> DiskSample:
        usage = shutil.disk_usage(self._data_dir)
        # What only root may fill counts as used: nobody else can have it.
        used = usage.total - usage.free
        percent = round(100 * used / usage.total, 1) if usage.total else 0.0
        return DiskSample(str(self._data_dir), usage.total, used, usage.free, percent)

    def _own(self) -> OwnSample:
        with self._process.oneshot():
            times = self._process.cpu_times()
            return OwnSample(
                pid=self._process.pid,
                rss=self._process.memory_info().rss,
                cpu_seconds=round(times.user + times.system, 2),
                threads=self._process.num_threads(),
                uptime_s=max(0.0, time.time() - self._process.create_time()),
            )


def _core_times() -> CoreTimes:
    """(busy, total) seconds of every core since boot."""
    cores: CoreTimes = []
    for times in psutil.cpu_times(percpu=True):
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts guest time inside user and nice as well.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        cores.append((total - idle, total))
    return cores


def _busy_percent(before: tuple[float, float], after: tuple[float, float]) -> float:
    total = after[1] - before[1]
    if total <= 0:
        return 0.0
    return round(min(100.0, max(0.0, 100.0 * (after[0] - before[0]) / total)), 1)


def _frequencies_mhz() -> list[float]:
    try:
        cores = psutil.cpu_freq(percpu=True)
    except (OSError, RuntimeError, NotImplementedError, AttributeError):
        return []
    return [round(core.current, 1) for core in cores or ()]


def _memory() -> MemorySample:
    memory = psutil.virtual_memory()
    return MemorySample(memory.total, memory.available, memory.total - memory.available, round(memory.percent, 1))


def _load() -> tuple[float, float, float]:
    one, five, fifteen = psutil.getloadavg()
    return round(one, 2), round(five, 2), round(fifteen, 2)


def _network() -> NetworkSample | None:
    try:
        interfaces = list(psutil.net_io_counters(pernic=True).values())
    except OSError:
        return None
    if not interfaces:
        return None
    return NetworkSample(
        sum(one.bytes_sent for one in interfaces),
        sum(one.bytes_recv for one in interfaces),
        sum(one.packets_sent for one in interfaces),
        sum(one.packets_recv for one in interfaces),
        sum(one.errin + one.errout for one in interfaces),
    )


def _process_seconds() -> dict[int, float]:
    seconds: dict[int, float] = {}
    for process in psutil.process_iter():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        seconds[process.pid] = times.user + times.system
    return seconds


def _busiest(before: dict[int, float], elapsed_s: float, top_n: int) -> list[ProcessSample]:
    found: list[ProcessSample] = []
    now = time.time()
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                used_s = times.user + times.system
                # A process that was born inside the window, and every process without a window, counts from its birth.
                since_s = elapsed_s if process.pid in before else now - process.create_time()
                busy_s = used_s - before.get(process.pid, 0.0)
                percent = round(100 * busy_s / since_s, 1) if since_s > 0 else 0.0
                found.append(ProcessSample(process.pid, process.name(), percent, process.memory_info().rss))
        except psutil.Error:  # ended meanwhile, or not ours to look at
            continue
    found.sort(key=lambda sample: (sample.cpu_percent, sample.rss), reverse=True)
    return found[:top_n]
