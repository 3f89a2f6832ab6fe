"""Blobs in a folder and in a bucket keep the same promises."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.core.blobs import Blobs, BlobsUnavailable, FileBlobs, blobs_for
from roost.core.settings import Settings
from tests.s3_server import S3Server, running_s3_server


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return blobs_for(Settings(_env_file=None, data_dir=tmp_path))
    server: S3Server = request.getfixturevalue("s3_server")
    return blobs_for(Settings(_env_file=None, **server.settings))


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
    for _ in range(2):
        await blobs.delete("a/b=1/one.json")
    assert await blobs.keys("a/") == ["a/b=2/two.bin"]


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


async def test_a_bucket_that_refuses(s3_server: S3Server) -> None:
    wrong = {**s3_server.settings, "s3_secret_access_key": "another"}
    with pytest.raises(BlobsUnavailable):
        await blobs_for(Settings(_env_file=None, **wrong)).put("a", b"1")
