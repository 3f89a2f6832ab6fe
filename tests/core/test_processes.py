"""A child that is not waited for to its end leaves pipes and a process behind."""

import asyncio
import gc
import os
import sys
from pathlib import Path

import pytest

from roost.core.processes import run_process


async def test_what_it_is_given_says_and_how_it_ends_come_back() -> None:
    program = "import sys; print(sys.stdin.read().upper()); sys.exit('It broke.')"
    ended = await run_process((sys.executable, "-c", program), b"roost")
    assert (ended.code, ended.output, ended.complaint) == (1, b"ROOST\n", "It broke.")


async def test_one_that_ends_well_has_nothing_to_complain_of() -> None:
    assert (await run_process(("true",))).complaint is None
    assert (await run_process(("false",))).complaint == "the child ended with 1"


async def test_what_is_not_there_cannot_start() -> None:
    with pytest.raises(FileNotFoundError):
        await run_process(("/no/such/program",))


async def test_what_yields_and_what_does_not_leave_the_hub_the_first_turn() -> None:
    linux = sys.platform == "linux"
    idle = "os.sched_getscheduler(0) == os.SCHED_IDLE" if linux else "False"
    # By the time that its input has ended it is where it belongs.
    command = (sys.executable, "-c", f"import os, sys; sys.stdin.read(); print(os.nice(0), {idle})")
    assert (await run_process(command)).output == b"19 False\n"
    assert (await run_process(command, yields=True)).output == f"19 {linux}\n".encode()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_whoever_cancels_it_ends_it_and_nothing_stays_open(tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    program = f"import os, time; open({str(fifo)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    gc.collect()  # what earlier tests left open would close itself in between
    before = _open_files()
    work = asyncio.create_task(run_process((sys.executable, "-c", program)))
    process = int(await asyncio.to_thread(fifo.read_text))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    gc.collect()
    assert _open_files() == before
