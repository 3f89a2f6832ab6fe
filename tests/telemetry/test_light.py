"""A hub that nobody asks for history carries no array library: it is to run on a small board."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, sys
from pathlib import Path
import roost.app
from roost.core.clock import SystemClock
from roost.telemetry.log import ANY
from roost.telemetry.messages import Message
from roost.telemetry.sqlite_log import SqliteLog

async def use(folder):
    log = SqliteLog(folder, SystemClock())
    await log.open()
    await log.append([1], [Message(1_790_000_000_000, 1_790_000_000_000, None, {"v": 1}, b'{"v":1}', None, "id")])
    assert len(await log.recent([1], 10, ANY)) == len(await log.between(1, 0, 2**62, 10)) == 1
    assert await log.find(1) and (await log.size())[0] == 1
    await log.prune(0)
    await log.delete_device(2)
    await log.close()

asyncio.run(use(Path(sys.argv[1])))
print(sorted({"numpy", "pcodec", "pyarrow", "zstandard"} & sys.modules.keys()))
"""


def test_messages_come_and_go_without_an_array_library(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "telemetry")], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.returncode) == ("[]\n", 0), run.stderr


def test_the_child_that_seals_carries_no_web_server() -> None:
    """It starts with every slice that is full, and on a small board its imports would be most of its work."""
    script = (
        "import sys, roost.telemetry.blocks.sealing\n"
        "print(sorted({'fastapi', 'pydantic', 'sqlalchemy', 'asyncio'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("[]\n", 0), run.stderr
