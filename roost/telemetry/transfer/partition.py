"""One month of one organization, written to the archive."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from roost.core.blobs import Blobs
from roost.telemetry.log import Log
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.events_file import events_file
from roost.telemetry.transfer.formats import ParquetEncoder
from roost.telemetry.transfer.manifests import (
    FORMAT,
    Manifest,
    Part,
    What,
    part_key,
    part_of,
    read_manifest,
    write_manifest,
)
from roost.telemetry.transfer.months import Month
from roost.telemetry.transfer.readings_file import points_of_devices
from roost.telemetry.transfer.wanted import Events, Readings

Outcome = Literal["written", "same", "kept"]


class Partitions:
    """Writes partitions one after the other; needs a folder on the disk for as much as one of them has."""

    def __init__(self, log: Log, store: TelemetryStore, blobs: Blobs, scratch: Path) -> None:
        self._log = log
        self._store = store
        self._blobs = blobs
        self._scratch = scratch
        self._turn = asyncio.Semaphore(1)

    async def write(self, organization_id: int, month: Month, uids: Mapping[int, str], written_at: str) -> Outcome:
        """What the log has of the month, unless the archive has as much, or more of some device (`kept`).

        Raises LogUnavailable, BlobsUnavailable. The manifest comes last: without it, the month is written again.
        """
        before = await read_manifest(self._blobs, organization_id, month)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            paths: dict[What, Path] = {"readings": Path(folder) / "readings", "events": Path(folder) / "events"}
            devices = {
                "readings": await self._readings(paths["readings"], month, uids),
                "events": await self._events(paths["events"], month, uids),
            }
            parts: dict[What, Part | None] = {
                what: await asyncio.to_thread(
                    part_of, paths[what], part_key(what, organization_id, month), devices[what]
                )
                for what in paths
            }
            if before is not None:
                pairs = [(before.readings, parts["readings"]), (before.events, parts["events"])]
                if not all(_covers(new, old) for old, new in pairs):
                    return "kept"
                if all(_covers(old, new) for old, new in pairs):
                    return "same"
            for what, part in parts.items():
                if part is not None:
                    await self._blobs.put_file(part.key, paths[what])
        await write_manifest(
            self._blobs,
            Manifest(FORMAT, organization_id, str(month), written_at, parts["readings"], parts["events"]),
        )
        return "written"

    async def _readings(self, path: Path, month: Month, uids: Mapping[int, str]) -> Counter[int]:
        async def devices() -> AsyncIterator[Sequence[tuple[int, str]]]:
            yield sorted(uids.items())

        counts = Counter[int]()
        encoder = ParquetEncoder()
        wanted = Readings("parquet", month.start_ms, month.end_ms)
        with path.open("wb") as file:
            file.write(encoder.start())
            async with aclosing(points_of_devices(self._log, devices(), wanted, self._turn)) as pieces:
                async for device_uid, points in pieces:
                    counts[points.device_id] += len(points)
                    file.write(await asyncio.to_thread(encoder.add, device_uid, points))
            file.write(await asyncio.to_thread(encoder.finish))
        return counts

    async def _events(self, path: Path, month: Month, uids: Mapping[int, str]) -> Counter[int]:
        wanted = Events("parquet", month.start_ms, month.end_ms)
        with path.open("wb") as file:
            async with aclosing(events_file(self._store, uids, wanted, self._turn)) as pieces:
                async for piece in pieces:
                    file.write(piece)
        return await asyncio.to_thread(_devices_in, path)


def _covers(new: Part | None, old: Part | None) -> bool:
    return old is None or (new is not None and new.covers(old))


def _devices_in(path: Path) -> Counter[int]:
    counts = Counter[int]()
    for batch in pq.ParquetFile(path).iter_batches(columns=["device_id"]):
        counts.update(batch.column(0).to_pylist())
    return counts
