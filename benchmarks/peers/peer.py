"""What is asked of every peer."""

import time
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from benchmarks.peers.workload import Averages, ReadingSet, Workload
from benchmarks.processes import tree_cpu_s, tree_memory_mib

_REST_SHARE = 0.03
_REST_TIMEOUT_S = 240


class PeerMissing(Exception):  # noqa: N818 - it is no error: the table says so
    """The peer cannot be had on this machine; the sentence says why."""


class Answer(NamedTuple):
    """How long the peer took until its last byte had come, and what it said."""

    ms: float
    averages: Averages


class Peer(ABC):
    """A store that runs on the server's core, empty at first."""

    name: ClassVar[str]
    transport: ClassVar[str]
    """How the day's readings come in."""
    promise: ClassVar[str]
    """What is certain when a write has been acknowledged."""
    questions: ClassVar[tuple[str, ...]] = ("day", "year", "week")
    """Which of the questions it can answer; history for the others is not loaded."""
    remark: ClassVar[str] = ""
    """How it is set up, and where it was asked for less than the others."""

    def __init__(self, workload: Workload, version: str) -> None:
        self.workload = workload
        self.version = version

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """Its processes, without their children."""

    @abstractmethod
    def ingest(self, readings: ReadingSet) -> int:
        """Hand readings in as a device or a collector would, until all are acknowledged; how many points that were."""

    def load(self, readings: ReadingSet) -> None:
        """Bring in history, which is not measured: the same way, unless there is a quicker one."""
        self.ingest(readings)

    @abstractmethod
    def settle(self) -> None:
        """Have everything written and compacted as it will be once time has passed."""

    @abstractmethod
    def size_bytes(self) -> int:
        """What the peer takes up on the disk."""

    def day(self, device: int, series: int) -> Answer:
        """The day of one series, in buckets of three minutes."""
        raise NotImplementedError

    def year(self, series: int) -> Answer:
        """The year of one series, in 500 buckets."""
        raise NotImplementedError

    def week(self, series: int) -> Answer:
        """The average of one series of all devices over the week."""
        raise NotImplementedError

    def cpu_s(self) -> float:
        """CPU time that all processes have used so far."""
        return sum(map(tree_cpu_s, self.pids))

    def memory_mib(self) -> float:
        return sum(map(tree_memory_mib, self.pids))

    def wait_for_rest(self, still_s: float = 4) -> None:
        """Return when for so long the processes have hardly used the processor, and what they keep has not changed."""
        rested_s, deadline = 0.0, time.perf_counter() + _REST_TIMEOUT_S
        while rested_s < still_s:
            used, size, began = self.cpu_s(), self.size_bytes(), time.perf_counter()
            time.sleep(2)
            took_s = time.perf_counter() - began
            rests = (self.cpu_s() - used) / took_s < _REST_SHARE and self.size_bytes() == size
            rested_s = rested_s + took_s if rests else 0.0
            assert time.perf_counter() < deadline, f"{self.name} does not come to rest."
