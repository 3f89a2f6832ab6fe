"""Blobs in an S3 bucket, or in what speaks like one."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from roost.core.blobs import BlobsUnavailable
from roost.core.settings import Settings

_TIMEOUT = timedelta(seconds=30)
_RETRY_FOR = timedelta(seconds=60)


def s3_blobs(settings: Settings) -> "S3Blobs":
    """Without keys in the settings, those of the environment the hub runs in: a role, a metadata service."""
    secret = settings.s3_secret_access_key
    options: dict[str, Any] = {
        "region": settings.s3_region,
        "endpoint": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    given: Any = {name: value for name, value in options.items() if value is not None}
    store = S3Store(
        str(settings.s3_bucket),
        config=given,
        client_options={"timeout": _TIMEOUT, "allow_http": True},
        retry_config={"max_retries": 5, "retry_timeout": _RETRY_FOR},
    )
    return S3Blobs(store)


class S3Blobs:
    """See `roost.core.blobs.Blobs`."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        with _reached():
            await obstore.put_async(self._store, key, data)

    async def put_file(self, key: str, source: Path) -> None:
        with _reached():
            # In parts, of which nobody sees anything before the last one is there.
            await obstore.put_async(self._store, key, source)

    async def get(self, key: str) -> bytes | None:
        with _reached():
            try:
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="roost-") as folder:
            path = Path(folder) / "blob"
            with _reached():
                found = await obstore.get_async(self._store, key)
                with path.open("wb") as file:
                    async for chunk in found.stream():
                        await asyncio.to_thread(file.write, chunk)
            yield path

    async def keys(self, prefix: str) -> list[str]:
        found: list[str] = []
        with _reached():
            async for chunk in obstore.list(self._store, prefix):
                found += [entry["path"] for entry in chunk]
        return sorted(found)

    async def delete(self, key: str) -> None:
        with _reached():
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                return


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        # The library's own sentence goes on for lines, with everything it has tried.
        raise BlobsUnavailable(str(error).splitlines()[0][:300]) from error
