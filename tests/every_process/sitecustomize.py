"""What the tests and their servers load first: quick password hashes and, if asked for, the counting of lines.

Hashes are real, and guessed a hundred times faster: signing people in was a third of what the whole suite computed.
`tests/access/test_passwords.py` holds the real costs.
"""

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Any

import argon2

COUNT_LINES_IN = "COUNT_LINES_IN"
_ROOT = Path(__file__).resolve().parents[2]
_UNCOUNTED = [r"if TYPE_CHECKING:", r"^\s*\.\.\.$"]
# `tests/migrations` runs each of them up and down, in forks that count nothing: writing it down would take longer.
_OMITTED = [str(_ROOT / "roost/migrations/versions/*")]
_COUNTED = [str(_ROOT / "roost"), str(_ROOT / "clients/python/roost_device")]


class _QuickHasher(argon2.PasswordHasher):
    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(memory_cost=128, time_cost=1, parallelism=1)


argon2.PasswordHasher = _QuickHasher  # type: ignore[misc]


def _count_lines(folder: Path) -> None:
    """Count the lines of what is imported from now on; at the end of the process they go into a file of this folder."""
    import slipcover  # type: ignore[import-untyped]  # noqa: PLC0415 - no business of a process that counts nothing

    # The process that hands out the tests says which lines there are; the others only, and quickly, which they reached.
    says_all = __name__ != "sitecustomize" and "PYTEST_XDIST_WORKER" not in os.environ
    counter = slipcover.Slipcover(
        source=_COUNTED if says_all else None,
        omit=_OMITTED,
        exclude_lines=_UNCOUNTED if says_all else [],
        # To stop counting a line it looks through every object of the process: after 50 rounds, as it is meant to be,
        # that took a tenth of the tests' own time.
        d_miss_threshold=100_000,
    )
    matcher = slipcover.FileMatcher(sources=_COUNTED, omit=_OMITTED)
    slipcover.ImportManager(counter, matcher).__enter__()

    def write() -> None:
        counted = counter.get_coverage()
        if not says_all:
            for file in counted["files"].values():
                file["missing_lines"] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{os.getpid()}.json").write_text(json.dumps(counted))

    atexit.register(write)


# The warm interpreter loads this twice: at its start, and by its name as a module of the tests.
_counts_already = __name__ != "sitecustomize" and hasattr(sys.modules.get("sitecustomize"), "COUNT_LINES_IN")
if COUNT_LINES_IN in os.environ and not _counts_already:
    _count_lines(Path(os.environ[COUNT_LINES_IN]))
