"""`python -m roost.telemetry.blocks FOLDER`: the child process of a hub that seals its closed slices."""

import gc
import sys
from pathlib import Path

import apsw

from roost.core.clock import SystemClock
from roost.telemetry.blocks.sealing import AlreadySealing, seal_folder


def main(folder: Path) -> int:
    """The exit status; what went wrong is said on standard error."""
    gc.disable()  # there are no cycles, and looking for them among millions of values takes half of the time
    try:
        done = seal_folder(folder, SystemClock().now_ms(), lambda line: print(line, file=sys.stderr))  # noqa: T201
    except AlreadySealing:
        return 0
    except (apsw.Error, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 1 if done.failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
