"""Taking a device out of the archive: whoever must be forgotten must be forgotten there, too."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roost.core.blobs import Blobs
from roost.telemetry.transfer.manifests import Manifest, Part, all_manifests, part_of, write_manifest


async def forget_device(blobs: Blobs, device_id: int, scratch: Path) -> int:
    """Rewrites every file that has rows of the device without them; how many there were.

    Raises BlobsUnavailable. The manifest changes last, so that what was cut short is found and finished the next time.
    """
    rows = 0
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    for manifest in await all_manifests(blobs):
        had = [part.devices.get(str(device_id), 0) for part in (manifest.readings, manifest.events) if part is not None]
        if any(had):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                await write_manifest(blobs, await _without(blobs, manifest, device_id, Path(folder) / "rest"))
            rows += sum(had)
    return rows


async def _without(blobs: Blobs, manifest: Manifest, device_id: int, rest: Path) -> Manifest:
    parts: dict[str, Part | None] = {"readings": manifest.readings, "events": manifest.events}
    for what, part in parts.items():
        if part is not None and str(device_id) in part.devices:
            left = Counter({int(device): rows for device, rows in part.devices.items() if int(device) != device_id})
            if left:
                async with blobs.local(part.key) as path:
                    await asyncio.to_thread(_copy_without, path, rest, device_id)
                await blobs.put_file(part.key, rest)
            else:
                await blobs.delete(part.key)
            parts[what] = await asyncio.to_thread(part_of, rest, part.key, left)
    return msgspec.structs.replace(manifest, **parts)


def _copy_without(path: Path, rest: Path, device_id: int) -> None:
    file = pq.ParquetFile(path)
    with pq.ParquetWriter(rest, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            kept = table.filter(pc.not_equal(table.column("device_id"), device_id))
            if kept.num_rows:
                writer.write_table(kept, row_group_size=kept.num_rows)
