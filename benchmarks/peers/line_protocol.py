"""Readings as InfluxDB's line protocol, which VictoriaMetrics takes too: a line for each message, a field for a key."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.peer import Peer
from benchmarks.peers.program import size_of
from benchmarks.peers.web import Web
from benchmarks.peers.workload import Batch, ReadingSet, Workload

# As many lines as the makers of both advise for one request.
_BATCHES_AT_ONCE = 10


class LineProtocolPeer(Peer):
    """One process with one folder that takes the line protocol over HTTP."""

    transport = "HTTP, line protocol, 5,000 messages a request"
    write_path: ClassVar[str]
    """Where the lines go, with the query that says what their times are in."""

    def __init__(self, workload: Workload, version: str, pid: int, web: Web, folder: Path) -> None:
        super().__init__(workload, version)
        self._pid, self._web, self._folder = pid, web, folder

    @property
    def pids(self) -> list[int]:
        return [self._pid]

    def ingest(self, readings: ReadingSet) -> int:
        for body in _bodies(readings):
            self._web.post(self.write_path, body)
        return readings.points

    def size_bytes(self) -> int:
        return size_of(self._folder)


def _bodies(readings: ReadingSet) -> Iterator[bytes]:
    """Bodies of up to 5,000 lines, of ten devices in turn; times in milliseconds."""
    batches = readings.batches()
    while chosen := list(islice(batches, _BATCHES_AT_ONCE)):
        yield "\n".join(line for batch in chosen for line in _lines(readings.keys, batch)).encode()


def _lines(keys: tuple[str, ...], batch: Batch) -> Iterator[str]:
    start = f"r,device={batch.device} "
    a, b, c, d, e = keys
    for moment, v, w, x, y, z in zip(batch.times, *batch.values, strict=True):
        yield f"{start}{a}={v},{b}={w},{c}={x},{d}={y},{e}={z} {moment}"
