"""Readings as the JSON that devices send, a document for each moment."""

from collections.abc import Iterator

from benchmarks.peers.workload import Batch, ReadingSet


def messages_of(readings: ReadingSet, device: int) -> Iterator[bytes]:
    """All of one device, in order."""
    times, columns = readings.walk(device)
    return messages(readings.keys, Batch(device, times.tolist(), [column.tolist() for column in columns]))


def messages(keys: tuple[str, ...], batch: Batch) -> Iterator[bytes]:
    """Those of a batch; times in milliseconds."""
    a, b, c, d, e = keys
    for moment, v, w, x, y, z in zip(batch.times, *batch.values, strict=True):
        yield f'{{"ts":{moment},"payload":{{"{a}":{v},"{b}":{w},"{c}":{x},"{d}":{y},"{e}":{z}}}}}'.encode()
