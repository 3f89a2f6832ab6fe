"""What is in the archive: keys, and for each month of an organization how much of whom, with checksums."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec

from roost.core.blobs import Blobs
from roost.telemetry.transfer.months import Month

FORMAT = 1
FOLDER = "archive"
What = Literal["readings", "events"]


class Part(msgspec.Struct, frozen=True):
    """A Parquet file; `devices` has the number of rows by device id."""

    key: str
    rows: int
    bytes: int
    sha256: str
    devices: dict[str, int]

    def covers(self, other: "Part") -> bool:
        """Whether there is at least as much of every device as in the other one."""
        return all(self.devices.get(device, 0) >= rows for device, rows in other.devices.items())


class Manifest(msgspec.Struct, frozen=True):
    """A month of an organization; a part without rows has no file and is None."""

    format: int
    organization_id: int
    month: str
    written_at: str
    readings: Part | None
    events: Part | None


_decoder = msgspec.json.Decoder(Manifest)
_encode = msgspec.json.Encoder().encode


def part_key(what: What, organization_id: int, month: Month) -> str:
    """The partitions stand in the path in the way of Hive, which every reader of Parquet knows."""
    return f"{FOLDER}/{what}/organization_id={organization_id}/month={month}/{what}.parquet"


def manifest_key(organization_id: int, month: Month) -> str:
    return f"{_manifests(organization_id)}/{month}.json"


def _manifests(organization_id: int) -> str:
    return f"{FOLDER}/manifests/organization_id={organization_id}"


def part_of(path: Path, key: str, devices: Counter[int]) -> Part | None:
    """What a manifest says of this file with so many rows of each device; None when it has none. Reads it once."""
    if not devices:
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    counts = {str(device): rows for device, rows in sorted(devices.items())}
    return Part(key, devices.total(), path.stat().st_size, digest, counts)


async def read_manifest(blobs: Blobs, organization_id: int, month: Month) -> Manifest | None:
    """Raises BlobsUnavailable."""
    data = await blobs.get(manifest_key(organization_id, month))
    return None if data is None else _decoder.decode(data)


async def write_manifest(blobs: Blobs, manifest: Manifest) -> None:
    """Raises BlobsUnavailable."""
    key = manifest_key(manifest.organization_id, Month.parse(manifest.month))
    await blobs.put(key, msgspec.json.format(_encode(manifest), indent=1))


async def archived_months(blobs: Blobs, organization_id: int) -> list[Month]:
    """The months that have a manifest, ascending. Raises BlobsUnavailable."""
    keys = await blobs.keys(f"{_manifests(organization_id)}/")
    return [Month.parse(key.rpartition("/")[2].removesuffix(".json")) for key in keys]


async def all_manifests(blobs: Blobs) -> list[Manifest]:
    """Raises BlobsUnavailable."""
    found = [await blobs.get(key) for key in await blobs.keys(f"{FOLDER}/manifests/")]
    return [_decoder.decode(data) for data in found if data is not None]
