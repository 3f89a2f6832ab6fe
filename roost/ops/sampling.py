"""Sampling off the event loop: a few threads of its own, and one sample for everybody who asks the same at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from roost.core.errors import Unavailable
from roost.ops.host import HostSample, HostSampler

# A window sleeps; this many may sleep side by side, the rest waits, and beyond the limit is sent away.
SAMPLING_THREADS = 4
WAITING_LIMIT = 16

T = TypeVar("T")


class Sampling:
    """Runs a `HostSampler` in threads, so that no window ever holds up the event loop."""

    def __init__(self, sampler: HostSampler) -> None:
        self._sampler = sampler
        self._threads = ThreadPoolExecutor(SAMPLING_THREADS, thread_name_prefix="roost-host")
        self._running: dict[tuple[int, int], asyncio.Task[HostSample]] = {}

    async def sample(self, sample_ms: int = 0, top_n: int = 0) -> HostSample:
        """A sample over `sample_ms` milliseconds with the `top_n` busiest processes.

        Raises Unavailable (503) when too many different samples are being taken.
        """
        wanted = (sample_ms, top_n)
        task = self._running.get(wanted)
        if task is None:
            if len(self._running) >= WAITING_LIMIT:
                raise Unavailable("Too many samples of this machine are being taken.", retry_after_s=2)
            task = asyncio.create_task(self._take(*wanted), name="host-sample")
            self._running[wanted] = task
            task.add_done_callback(lambda _: self._running.pop(wanted, None))
        # Whoever asked first may go away; the others still want the sample.
        return await asyncio.shield(task)

    async def free_disk_bytes(self) -> int:
        """Free space for the data folder, in bytes. Raises OSError when the folder is gone."""
        return await self.run(self._sampler.free_disk_bytes)

    async def run(self, measure: Callable[[], T]) -> T:
        """What `measure` returns, called in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, measure)

    async def close(self) -> None:
        """Wait for the samples under way and end the threads."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _take(self, sample_ms: int, top_n: int) -> HostSample:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._sampler.sample, sample_ms / 1000, top_n)
