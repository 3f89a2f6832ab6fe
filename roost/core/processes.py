"""Work in a process of its own, whose end is always waited for."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    command: Sequence[str], given: bytes = b"", environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `command` with `given` on standard input; whoever cancels this ends it. Raises OSError if it cannot start."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        output, errors = await child.communicate(given)
    except BaseException:
        if child.returncode is None:
            child.terminate()
        # To the end of what it says, too: pipes that are still open would outlive the loop.
        await child.communicate()
        raise
    return Ended(await child.wait(), output, errors)
