"""Readings as InfluxDB's line protocol, which VictoriaMetrics takes too: a line for each message, a field for a key."""

from collections.abc import Iterator
from itertools import islice

from benchmarks.peers.workload import Batch, ReadingSet

# As many lines as the makers of both advise for one request.
_BATCHES_AT_ONCE = 10


def bodies(readings: ReadingSet) -> Iterator[bytes]:
    """Bodies of up to 5,000 lines, of ten devices in turn; times in milliseconds."""
    batches = readings.batches()
    while chosen := list(islice(batches, _BATCHES_AT_ONCE)):
        yield "\n".join(line for batch in chosen for line in _lines(readings.keys, batch)).encode()


def _lines(keys: tuple[str, ...], batch: Batch) -> Iterator[str]:
    start = f"r,device={batch.device} "
    a, b, c, d, e = keys
    for moment, v, w, x, y, z in zip(batch.times, *batch.values, strict=True):
        yield f"{start}{a}={v},{b}={w},{c}={x},{d}={y},{e}={z} {moment}"
