"""`roost telemetry seal | verify | stats` on PostgreSQL, and the child process that seals by itself."""

import asyncio

import pytest
from typer.testing import CliRunner

from roost.cli import build
from roost.core.clock import SystemClock
from roost.telemetry.messages import Message
from roost.telemetry.postgres import appending
from roost.telemetry.postgres.sealer import sealer_of
from roost.telemetry.postgres_log import PostgresLog
from tests.postgres_cluster import PostgresCluster
from tests.waiting import until

START = 1_790_000_000_000


@pytest.fixture
def url(postgres: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> str:
    url = postgres.create_database()
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setattr(appending, "SLICE_ROWS", 400)
    return url


def run(command: str, code: int = 0) -> str:
    words = ["telemetry", command]
    done = CliRunner().invoke(build(words[:1]), words)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


async def fill(log: PostgresLog, count: int = 1000) -> None:
    for number in range(0, count, 100):
        messages = [
            Message(START + at, START, "boot" if at == 7 else None, {"v": at / 100}, b'{"v":%.2f}' % (at / 100))
            for at in range(number, number + 100)
        ]
        await log.append([1] * 100, messages)


async def fill_and_close(url: str) -> None:
    log = PostgresLog(url, SystemClock())
    await fill(log)
    await log.close()


def test_seal_verify_and_stats(url: str, postgres: PostgresCluster) -> None:
    assert run("seal") == "0 messages of 0 slices sealed.\n"
    asyncio.run(fill_and_close(url))
    assert "1,000 messages of 2 slices sealed." in run("seal")
    assert run("verify") == "Everything is as it was written.\n"
    shown = " ".join(run("stats").split())
    assert "telemetry.head_3 0 " in shown
    assert "blocks: telemetry.block_2026_09 999 1,000 " in shown
    assert "blocks: telemetry.event_block_2026_09 1 " in shown
    assert "bytes per sealed point, everything counted." in shown
    postgres.execute(
        "UPDATE telemetry.block SET data = set_byte(data, 40, get_byte(data, 40) # 1)", database=url.rpartition("/")[2]
    )
    assert "Block of device 1, 2026-09-21T14:13:20.000Z to 2026-09-21T14:13:20.499Z: The checksum" in run("verify", 1)


def test_a_database_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/roost")
    assert "could not be sealed" in run("seal", 1)
    assert "could not be verified" in run("verify", 1)
    assert "could not be counted" in run("stats", 1)


async def test_a_child_process_seals_what_is_closed_and_goes(url: str) -> None:
    log = PostgresLog(url, SystemClock())
    work = sealer_of(log, url)
    work.start()
    await fill(log)
    await until(lambda: not log.has_closed_slices, 30, what="The child's work")
    assert [row.observed_at for row in await log.between(1, 0, 2**62, 2000)] == list(range(START, START + 1000))
    assert len([piece async for piece in log.pieces(1, 0, 2**62, whole=lambda _start, _end: True)]) > 0
    await work.stop()
    await log.close()
