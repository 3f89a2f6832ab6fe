"""A real server that speaks S3, started by the tests that need one."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres_cluster import free_port
from tests.waiting import wait_until

BUCKET, KEY, SECRET = "roost-files", "test-key", "test-secret-of-a-key"


@dataclass(frozen=True)
class S3Server:
    """`folder` has what is in the bucket, as files."""

    endpoint: str
    folder: Path

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a hub that uses the bucket."""
        return {
            "s3_bucket": BUCKET, "s3_endpoint": self.endpoint, "s3_region": "us-east-1", "s3_access_key_id": KEY,
            "s3_secret_access_key": SECRET,
        }  # fmt: skip


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """The server with one empty bucket."""
    bucket, port = folder / BUCKET, free_port()
    bucket.mkdir()
    environment = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    arguments = ["serve", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    with (folder / "log").open("wb") as log:
        program = Path(sys.executable).parent / "nanio"
        server = subprocess.Popen([program, *arguments], env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _is_listening(port), timeout_s=30, what="The S3 server")
        yield S3Server(f"http://127.0.0.1:{port}", bucket)
    finally:
        server.terminate()
        server.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
