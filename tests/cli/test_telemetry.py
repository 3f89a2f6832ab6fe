"""`roost telemetry seal | verify | stats` on a folder that no hub is using."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roost.cli import build
from roost.core.clock import SystemClock
from roost.telemetry import sqlite_log
from roost.telemetry.blocks import file
from roost.telemetry.messages import Message
from roost.telemetry.sqlite_log import SqliteLog


def run(command: str, code: int = 0) -> str:
    words = ["telemetry", command]
    done = CliRunner().invoke(build(words[:1]), words)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOST_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/roost.db")
    return tmp_path / "telemetry"


async def fill(folder: Path) -> None:
    log = SqliteLog(folder, SystemClock())
    await log.open()
    for number in range(0, 1000, 100):
        messages = [
            Message(1_790_000_000_000 + at, 1_790_000_000_000, None, {"v": at / 100}, b'{"v":%.2f}' % (at / 100))
            for at in range(number, number + 100)
        ]
        await log.append([1] * 100, messages)
    await log.close()


def test_seal_verify_and_stats(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "There is no telemetry" in run("seal")
    monkeypatch.setattr(sqlite_log, "SLICE_ROWS", 400)
    asyncio.run(fill(folder))
    assert "800 messages of 2 slices sealed." in run("seal")
    assert "0 messages of 0 slices sealed." in run("seal")
    assert run("verify") == "Everything is as it was written.\n"
    shown = " ".join(run("stats").split())
    assert "head_00000003.db 200 " in shown
    assert "blocks: columns 800 800 " in shown
    assert " all 1,000 " in shown
    assert "bytes per sealed point, everything counted." in shown


def test_verify_finds_a_flipped_byte(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "SLICE_ROWS", 400)
    asyncio.run(fill(folder))
    run("seal")
    with closing(file.create(folder)) as blocks:
        data = bytearray(blocks.execute("SELECT data FROM block_data LIMIT 1").get)
        data[len(data) // 2] ^= 4
        blocks.execute("UPDATE block_data SET data = ? WHERE id = 1", (bytes(data),))
    said = run("verify", code=1)
    assert said.startswith("Block 1 of device 1, 2026-09-21T14:13:20.000Z to 2026-09-21T")
    assert said.endswith("The checksum of the block is wrong.\n")


def test_what_is_no_database_is_said(folder: Path) -> None:
    asyncio.run(fill(folder))
    head = folder / "head_00000001.db"
    data = bytearray(head.read_bytes())
    data[4096:4296] = bytes(200)
    head.write_bytes(data)
    assert "head_00000001.db: " in run("verify", code=1)
