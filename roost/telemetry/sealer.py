"""Seals closed slices in a child process: compressing beside the event loop would fight it for the interpreter."""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from roost.core.processes import Ended, run_process
from roost.core.tasks import end
from roost.telemetry.log import LogUnavailable

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "roost.telemetry.blocks")
RETRY_S = 600.0
# What was begun is gone on with.
PATIENCE_S = 10.0


class Sealable(Protocol):
    """What a log says of its slices."""

    @property
    def has_closed_slices(self) -> bool: ...

    def when_closed(self, callback: Callable[[], object]) -> None: ...

    async def let_go(self) -> None: ...


class Sealer:
    """Starts the child whenever a slice has been closed, one at a time; after a failure, ten minutes later again."""

    def __init__(
        self,
        log: Sealable,
        *arguments: str | Path,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`command` (None: the one for a folder) is run with `arguments`, in `environment` (None: that of the hub)."""
        self._log = log
        self._command = (*(command or COMMAND), *map(str, arguments))
        self._environment = environment
        self._closed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins with what an earlier life of the hub has left."""
        loop = asyncio.get_running_loop()
        self._log.when_closed(lambda: loop.call_soon_threadsafe(self._closed.set))
        if self._log.has_closed_slices:
            self._closed.set()
        self._task = asyncio.create_task(self._run(), name="telemetry-sealer")

    async def stop(self) -> None:
        """Ends a child that is at work: what it has not finished is done by the next one."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._closed.wait()
            self._closed.clear()
            while not await self._seal():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), RETRY_S)
                self._closed.clear()

    async def _seal(self) -> bool:
        """Whether everything that was closed is sealed."""
        try:
            failure = (await self._run_child()).complaint
            await self._log.let_go()
        except (LogUnavailable, OSError) as error:
            failure = str(error)
        if failure is not None:
            logger.warning("telemetry could not be sealed, which is tried again in %d s: %s", RETRY_S, failure)
        return failure is None

    async def _run_child(self) -> Ended:
        """On a machine that never rests a child that yields to all others would not end; the next one insists."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                return await run_process(self._command, environment=self._environment, yields=True)
        return await run_process(self._command, environment=self._environment)
