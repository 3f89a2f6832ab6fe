"""Large things by key: files in a folder, or objects in an S3 bucket. Whoever uses this does not know which.

A key is like a path, `archive/readings/…/readings.parquet`. Something is there wholly or not at all: whoever reads
while it is replaced gets the old or the new one.
"""

import asyncio
import importlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from roost.core.settings import Settings


class BlobsUnavailable(Exception):  # noqa: N818 - it reads as what it says
    """The store cannot be reached, or refuses; nothing was changed, or it is safe to repeat."""


class Blobs(Protocol):
    """Every method raises BlobsUnavailable."""

    async def put(self, key: str, data: bytes) -> None:
        """Durable when this returns."""

    async def put_file(self, key: str, source: Path) -> None:
        """The same for what does not fit into memory; `source` stays."""

    async def get(self, key: str) -> bytes | None:
        """Something small; None when it is not there."""

    def local(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A file to read from, good within the context. Raises FileNotFoundError."""

    async def keys(self, prefix: str) -> list[str]:
        """Those that start with this folder, sorted."""

    async def delete(self, key: str) -> None:
        """Gone for good when this returns; what is not there is no error."""


def blobs_for(settings: Settings) -> Blobs:
    """The bucket when there is one, otherwise the folder `blobs` of the data folder."""
    if settings.s3_bucket is None:
        return FileBlobs(settings.data_dir / "blobs")
    try:
        module = importlib.import_module("roost.core.s3_blobs")
    except ModuleNotFoundError as error:
        raise RuntimeError("A bucket needs Roost installed as roost[s3]; install that, or unset S3_BUCKET.") from error
    blobs: Blobs = module.s3_blobs(settings)
    return blobs


class FileBlobs:
    """See `Blobs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes) -> None:
        await self._replace(key, lambda path: path.write_bytes(data))

    async def put_file(self, key: str, source: Path) -> None:
        await self._replace(key, lambda path: shutil.copyfile(source, path))

    async def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BlobsUnavailable(str(error)) from error

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise FileNotFoundError(key)
        yield path

    async def keys(self, prefix: str) -> list[str]:
        return await asyncio.to_thread(self._keys, prefix)

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread(_delete, self._path(key))
        except OSError as error:
            raise BlobsUnavailable(str(error)) from error

    def _keys(self, prefix: str) -> list[str]:
        found = (path for path in self._path(prefix).rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self._folder).as_posix() for path in found)

    async def _replace(self, key: str, write: Callable[[Path], object]) -> None:
        try:
            await asyncio.to_thread(_replace, self._path(key), write)
        except OSError as error:
            raise BlobsUnavailable(str(error)) from error

    def _path(self, key: str) -> Path:
        path = self._folder / key
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError(f"{key!r} is no key.")
        return path


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(descriptor)
    part = Path(name)
    try:
        write(part)
        _sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _delete(path: Path) -> None:
    if path.exists():
        path.unlink()
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
