"""`python -m roost.telemetry.blocks FOLDER`: the child process of a hub that seals its closed slices."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import apsw

from roost.core.clock import SystemClock
from roost.telemetry.blocks.sealing import AlreadySealing, seal_folder

# With more of them waiting than these the hub may never rest, and sealing takes its turn.
BEHIND_SLICES = 4


def main(folder: Path) -> int:
    """The exit status; what went wrong is said on standard error."""
    if len(list(folder.glob("head_*.db"))) <= BEHIND_SLICES:
        _yield_to_everybody()
    gc.disable()  # there are no cycles, and looking for them among millions of values takes half of the time
    try:
        done = seal_folder(folder, SystemClock().now_ms(), lambda line: print(line, file=sys.stderr))  # noqa: T201
    except AlreadySealing:
        return 0
    except (apsw.Error, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 1 if done.failed else 0


def _yield_to_everybody() -> None:
    """Run only while nobody else wants to. A process of lower priority may keep others waiting for 40 ms at a time."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
