"""Reading the archive: readings of a device in pieces as the log gives them, and whether all is as it was written."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roost.core.blobs import Blobs
from roost.telemetry.columns import ColumnBuilder
from roost.telemetry.frames import Frame
from roost.telemetry.messages import Value
from roost.telemetry.transfer.manifests import Manifest, Part, archived_months, read_manifest

FRAME_ROWS = 65_536
_COLUMNS = ["device_id", "sensor_type", "time", "value", "integer", "boolean", "unit"]


async def archived_pieces(
    blobs: Blobs, organization_id: int, device_id: int, since: int, until: int, *, keys: Sequence[str] = ()
) -> AsyncIterator[Frame]:
    """Readings of one device with `since` <= time < `until` (ms) as far as the archive has them, oldest first.

    Frames as those of `Log.pieces`; values that one message brought need not share a row. Raises BlobsUnavailable.
    """
    for month in await archived_months(blobs, organization_id):
        if month.end_ms <= since or month.start_ms >= until:
            continue
        manifest = await read_manifest(blobs, organization_id, month)
        part = manifest.readings if manifest is not None else None
        if part is None or str(device_id) not in part.devices:
            continue
        async with blobs.local(part.key) as path:
            frames = _frames(path, device_id, since, until, keys)
            while (frame := await asyncio.to_thread(next, frames, None)) is not None:
                yield frame


async def damage_of(blobs: Blobs, manifest: Manifest) -> list[str]:
    """A sentence for each file of the manifest that is not as it was written. Raises BlobsUnavailable."""
    found = []
    for part in (manifest.readings, manifest.events):
        if part is not None:
            try:
                async with blobs.local(part.key) as path:
                    said = await asyncio.to_thread(_damage, path, part)
            except FileNotFoundError:
                said = "is missing"
            if said is not None:
                found.append(f"{part.key} {said}.")
    return found


def _damage(path: Path, part: Part) -> str | None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
            return "has another checksum than when it was written"
    rows = pq.ParquetFile(path).metadata.num_rows
    return None if rows == part.rows else f"has {rows:,} rows instead of {part.rows:,}"


def _frames(path: Path, device_id: int, since: int, until: int, keys: Sequence[str]) -> Iterator[Frame]:
    """The readings as frames, cut only between moments."""
    held = _Rows(device_id)
    for table in _tables(path, device_id, since, until, keys):
        for row in zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True):
            if held.full(row[0]):
                yield held.frame()
                held = _Rows(device_id)
            held.add(*row)
    if held.times:
        yield held.frame()


def _tables(path: Path, device_id: int, since: int, until: int, keys: Sequence[str]) -> Iterator[pa.Table]:
    """What is wanted of each row group that may have some of it, a bounded number of rows at a time."""
    file = pq.ParquetFile(path)
    place = file.schema_arrow.get_field_index("device_id")
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group).column(place).statistics
        if known is not None and known.has_min_max and not known.min <= device_id <= known.max:
            continue
        for batch in file.iter_batches(FRAME_ROWS, [group], columns=_COLUMNS):
            at = batch.column("time").cast(pa.int64())
            wanted = pc.and_(pc.equal(batch.column("device_id"), device_id), pc.greater_equal(at, since))
            wanted = pc.and_(wanted, pc.less(at, until))
            if keys:
                wanted = pc.and_(wanted, pc.is_in(batch.column("sensor_type"), pa.array(list(keys))))
            rest = [batch.column(name) for name in ("sensor_type", "value", "integer", "boolean", "unit")]
            yield pa.table([at, *rest], names=["at", "key", "value", "integer", "boolean", "unit"]).filter(wanted)


class _Rows:
    """Readings on their way into a frame: one of a series a row, several of one moment one below the other."""

    def __init__(self, device_id: int) -> None:
        self.times: list[int] = []
        self._device_id = device_id
        self._builders: dict[str, ColumnBuilder] = {}
        self._moment_at = 0
        self._turns: dict[str, int] = {}

    def full(self, at: int) -> bool:
        return len(self.times) >= FRAME_ROWS and at != self.times[-1]

    def add(  # noqa: PLR0917 - the columns as they come
        self, at: int, key: str, value: float, integer: int | None, boolean: bool | None, unit: str | None
    ) -> None:
        if not self.times or self.times[-1] != at:
            self._moment_at = len(self.times)
            self._turns.clear()
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        place = self._moment_at + turn
        if place == len(self.times):
            self.times.append(at)
        builder = self._builders.get(key)
        if builder is None:
            builder = self._builders[key] = ColumnBuilder()
        exact: Value = boolean if boolean is not None else integer if integer is not None else value
        builder.add(place, exact, unit)

    def frame(self) -> Frame:
        columns: dict[str, Any] = {key: builder.build(len(self.times)) for key, builder in self._builders.items()}
        return Frame(self._device_id, np.array(self.times, np.int64), columns)
