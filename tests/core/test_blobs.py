"""Blobs in a folder and in a bucket keep the same promises."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.core.blobs import Blobs, BlobsUnavailable, FileBlobs, blobs_for
from roost.core.settings import Settings
from tests.postgres_cluster import free_port
from tests.waiting import wait_until

KEY, SECRET = "test-key", "test-secret-of-a-key"


def is_listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks S3, with a bucket `roost-files` in it."""
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    (folder / "roost-files").mkdir()
    environment = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    arguments = ["serve", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    program = Path(sys.executable).parent / "nanio"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, *arguments], env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening(port), timeout_s=30, what="The S3 server")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return blobs_for(Settings(_env_file=None, data_dir=tmp_path))
    endpoint: str = request.getfixturevalue("s3_endpoint")
    settings = Settings(
        _env_file=None, s3_bucket="roost-files", s3_endpoint=endpoint, s3_region="us-east-1", s3_access_key_id=KEY,
        s3_secret_access_key=SECRET,
    )  # fmt: skip
    return blobs_for(settings)


async def test_what_was_put_is_there_and_can_be_replaced(blobs: Blobs, tmp_path: Path) -> None:
    assert await blobs.get("a/b=1/one.json") is None
    await blobs.put("a/b=1/one.json", b"1")
    await blobs.put("a/b=1/one.json", b"2")
    assert await blobs.get("a/b=1/one.json") == b"2"
    # More than one part of an upload has.
    large = tmp_path / "large"
    large.write_bytes(os.urandom(12 * 1024 * 1024))
    await blobs.put_file("a/b=2/two.bin", large)
    async with blobs.local("a/b=2/two.bin") as path:
        assert path.read_bytes() == large.read_bytes()
    assert await blobs.keys("a/") == ["a/b=1/one.json", "a/b=2/two.bin"]
    assert await blobs.keys("elsewhere/") == []


async def test_what_is_not_there_is_no_outage(blobs: Blobs) -> None:
    with pytest.raises(FileNotFoundError):
        async with blobs.local("nowhere"):
            pass


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file")
    with pytest.raises(BlobsUnavailable):
        await FileBlobs(tmp_path / "blobs").put("a", b"1")


async def test_a_put_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    await blobs.put("a", b"old")
    with pytest.raises(BlobsUnavailable):
        await blobs.put_file("a", tmp_path / "missing")
    assert await blobs.get("a") == b"old"
    assert await blobs.keys("") == ["a"]
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208 - hidden ones, too


async def test_no_key_leads_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no key"):
        await FileBlobs(tmp_path / "blobs").put("../a", b"1")


async def test_a_bucket_that_refuses(s3_endpoint: str) -> None:
    settings = Settings(
        _env_file=None, s3_bucket="roost-files", s3_endpoint=s3_endpoint, s3_region="us-east-1", s3_access_key_id=KEY,
        s3_secret_access_key="another",
    )  # fmt: skip
    with pytest.raises(BlobsUnavailable):
        await blobs_for(settings).put("a", b"1")
