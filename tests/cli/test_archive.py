"""`roost archive`, and a hub that writes its archive by itself."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roost.cli import build
from tests.conftest import FreshServer, register_device, register_user
from tests.waiting import wait_until

LONG_AGO = 1_500_000_000_000


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(build(["archive"]), ["archive", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_by_itself_and_by_hand(fresh_server: FreshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = fresh_server(ROOST_ARCHIVE="true")
    with register_user(server) as user:
        device = register_device(user)
        line = {"device_uid": device.uid, "sensor_type": "temp_c", "time": LONG_AGO, "value": 21.5}
        assert user.post("/analytics/import", content=json.dumps(line).encode()).json()["stored"] == 1
    server.stop()
    server.start()
    folder = Path(server.data_dir) / "blobs" / "archive"
    wait_until(lambda: list(folder.rglob("readings.parquet")), timeout_s=30)
    server.stop()
    for name, value in server.environment.items():
        if name.startswith("ROOST_"):
            monkeypatch.setenv(name, value)
    run("run")
    assert "1 files, all as they were written" in run("verify")
    assert "0 rows of device 99 are gone" in run("forget", "--device", "99")
    assert "is no month" in run("run", "--from", "yesterday", code=1)
    next(folder.rglob("readings.parquet")).write_bytes(b"")
    assert "has another checksum" in run("verify", code=1)
