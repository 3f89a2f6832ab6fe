"""Work in a process of its own, with less of a claim to the processor than the hub; its end is always waited for.

In a thread: the event loop's own way of starting one copies the whole hub first, and held up everybody for a tenth of a
second while it did.
"""

import asyncio
import os
import subprocess  # nosec B404
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

NICENESS = 19
_COMPLAINT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended and what it wrote to standard output and standard error."""

    code: int
    output: bytes
    errors: bytes

    @property
    def complaint(self) -> str | None:
        """What to tell about its failure, at most 500 characters; None when it did not fail."""
        if self.code == 0:
            return None
        return self.errors.decode(errors="replace").strip()[-_COMPLAINT_LIMIT:] or f"the child ended with {self.code}"


async def run_process(
    command: Sequence[str], given: bytes = b"", environment: Mapping[str, str] | None = None, *, yields: bool = False
) -> Ended:
    """Run `command` with `given` on standard input; whoever cancels this ends it. Raises OSError if it cannot start.

    What `yields` runs only while nothing else wants to, where the system (Linux) knows of such a thing. Otherwise it
    may keep the hub waiting for 40 ms at a time although it has the lowest priority.
    """
    child = _Child(command, environment, yields=yields)
    thread = ThreadPoolExecutor(1, "child")
    running = asyncio.get_running_loop().run_in_executor(thread, child.run, given)
    thread.shutdown(wait=False)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        child.end()
        await asyncio.gather(running, return_exceptions=True)
        raise


class _Child:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None, *, yields: bool) -> None:
        self._command = command
        self._yields = yields
        self._environment = environment
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unwanted = False

    def run(self, given: bytes) -> Ended:
        with self._starting:
            if self._unwanted:
                return Ended(0, b"", b"")
            self._process = subprocess.Popen(  # noqa: S603 - of the hub itself  # nosec B603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
            )
            self._step_back(self._process.pid)
        with self._process as process:
            output, errors = process.communicate(given)
        return Ended(process.returncode, output, errors)

    def _step_back(self, pid: int) -> None:
        # From here: its imports alone would keep the hub waiting before it could do so by itself.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
            if self._yields and sys.platform == "linux":
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

    def end(self) -> None:
        with self._starting:
            self._unwanted = True
            if self._process is not None:
                self._process.terminate()
