"""Where the tests' files go: into memory where there is room for them, as syncing a disk took a quarter of a run.

What is said of disks is tested on one: `tests/faults` has its files there, and so has `make soak` all of them.
"""

import os
import shutil
import tempfile
from pathlib import Path

ON_DISK = Path("/var/tmp")
_IN_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 4 << 30


def use_memory() -> None:
    """From now on temporary files of this process and of those it starts are in memory, unless TMPDIR says where."""
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_IN_MEMORY).free > _NEEDED_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_IN_MEMORY)
