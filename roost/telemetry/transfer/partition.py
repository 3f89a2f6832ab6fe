"""One month of one organization, written to the archive: what the log has of it and what the archive had before."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from roost.core.blobs import Blobs
from roost.telemetry.frames import Frame
from roost.telemetry.log import Log
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.retention.merging import merged
from roost.telemetry.transfer.archive_reads import frames_in, window_ms
from roost.telemetry.transfer.archived_events import events_of_month
from roost.telemetry.transfer.event_formats import EVENT_ENCODERS
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
from roost.telemetry.transfer.points import points_of

Outcome = Literal["written", "same"]


class Partitions:
    """Writes partitions one after the other; needs a folder on the disk for as much as one of them has."""

    def __init__(self, log: Log, store: TelemetryStore, blobs: Blobs, scratch: Path) -> None:
        self._log = log
        self._store = store
        self._blobs = blobs
        self._scratch = scratch

    async def write(
        self, organization_id: int, month: Month, uids: Mapping[int, str], written_at: str, *,
        keep: Callable[[], Awaitable[None]],
    ) -> Outcome:  # fmt: skip
        """What the log has of the month, with what the archive had: what has gone from the log since stays.

        `keep` is called before anything is replaced, and raises when somebody else may do so by now. The manifest comes
        last: without it, the month is written again. Raises LogUnavailable, BlobsUnavailable, FileNotFoundError where a
        file of the archive is missing.
        """
        before = await read_manifest(self._blobs, organization_id, month)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            readings, events = Path(folder) / "readings", Path(folder) / "events"
            devices: dict[What, Counter[int]] = {}
            async with AsyncExitStack() as opened:
                old = await self._fetched(opened, before.readings if before else None)
                devices["readings"] = await self._readings(readings, month, uids, before, old)
                old = await self._fetched(opened, before.events if before else None)
                devices["events"] = await self._events(events, month, uids, old)
            paths: dict[What, Path] = {"readings": readings, "events": events}
            parts: dict[What, Part | None] = {
                what: await asyncio.to_thread(part_of, path, part_key(what, organization_id, month), devices[what])
                for what, path in paths.items()
            }
            if before is not None and _rows(before.readings, before.events) == _rows(*parts.values()):
                return "same"
            await keep()
            for what, part in parts.items():
                if part is not None:
                    await self._blobs.put_file(part.key, paths[what])
        await write_manifest(
            self._blobs,
            Manifest(FORMAT, organization_id, str(month), written_at, parts["readings"], parts["events"]),
        )
        return "written"

    async def _fetched(self, opened: AsyncExitStack, part: Part | None) -> Path | None:
        return None if part is None else await opened.enter_async_context(self._blobs.local(part.key))

    async def _readings(
        self, path: Path, month: Month, uids: Mapping[int, str], before: Manifest | None, old: Path | None
    ) -> Counter[int]:
        counts = Counter[int]()
        part = before.readings if before else None
        names = {**(await asyncio.to_thread(_uids_in, old) if old else {}), **uids}
        encoder = ParquetEncoder()
        with path.open("wb") as file:
            file.write(encoder.start())
            for device_id, device_uid in sorted(names.items()):
                rows = 0 if part is None else part.devices.get(str(device_id), 0)
                async with aclosing(self._frames(device_id, month, old, rows)) as frames:
                    async for frame in frames:
                        counts[device_id] += await asyncio.to_thread(_encode, encoder, device_uid, frame, file)
            file.write(await asyncio.to_thread(encoder.finish))
        return +counts

    async def _frames(self, device_id: int, month: Month, old: Path | None, rows: int) -> AsyncGenerator[Frame]:
        """What both have; `rows`: how many readings the archive has of the device."""
        position = month.start_ms
        while position < month.end_ms:
            end = min(month.end_ms, position + window_ms(rows)) if rows else month.end_ms
            log = cast("AsyncGenerator[Frame]", self._log.pieces(device_id, position, end))
            async with aclosing(log):
                if not rows:
                    async for frame in log:
                        yield frame
                else:
                    hot = [frame async for frame in log]
                    for piece in await asyncio.to_thread(_put_together, device_id, hot, old, (position, end)):
                        yield piece
            position = end

    async def _events(self, path: Path, month: Month, uids: Mapping[int, str], old: Path | None) -> Counter[int]:
        counts = Counter[int]()
        encoder = EVENT_ENCODERS["parquet"]()
        names = {**(await asyncio.to_thread(_uids_in, old) if old else {}), **uids}
        with path.open("wb") as file:
            file.write(encoder.start())
            async with aclosing(events_of_month(self._store, uids, month, old)) as pages:
                async for page in pages:
                    counts.update(row.device_id for row in page)
                    file.write(await asyncio.to_thread(encoder.add, names, page))
            file.write(await asyncio.to_thread(encoder.finish))
        return counts


def _put_together(device_id: int, hot: list[Frame], old: Path | None, span: tuple[int, int]) -> list[Frame]:
    archived = [] if old is None else list(frames_in(old, device_id, span))
    return [piece for piece in merged(device_id, hot, archived, [], span=span) if isinstance(piece, Frame)]


def _encode(encoder: ParquetEncoder, device_uid: str, frame: Frame, file: Any) -> int:
    rows = 0
    for points in points_of(frame):
        file.write(encoder.add(device_uid, points))
        rows += len(points)
    return rows


def _rows(*parts: Part | None) -> list[dict[str, int]]:
    return [{} if part is None else part.devices for part in parts]


def _uids_in(path: Path) -> dict[int, str]:
    uids: dict[int, str] = {}
    for batch in pq.ParquetFile(path).iter_batches(columns=["device_id", "device_uid"]):
        pairs = pa.Table.from_batches([batch]).group_by(["device_id", "device_uid"]).aggregate([])
        uids |= {pair["device_id"]: pair["device_uid"] for pair in pairs.to_pylist()}
    return uids
