"""Tidying up behind the writer of the log, in a thread that lets it go first: checkpoints, and closing slices."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import apsw

from roost.telemetry import slices

logger = logging.getLogger(__name__)

NICENESS = 10


class SliceCloser:
    """Does what it is asked for one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "telemetry-close", initializer=_step_back)
        self.on_closed: Callable[[], object] = lambda: None

    def checkpoint(self, path: Path) -> None:
        self._thread.submit(_checkpoint, path)

    def finish(self, closed: slices.Slice, written_by: apsw.Connection | None = None) -> None:
        """Gives a slice that is no longer written its indexes; `written_by` is closed."""
        self._thread.submit(self._finish, closed, written_by)

    def shutdown(self) -> None:
        """Waits for what was asked for."""
        self._thread.shutdown()

    def _finish(self, closed: slices.Slice, written_by: apsw.Connection | None) -> None:
        try:
            if written_by is not None:
                # The last connection to go moves what is left of the write-ahead log to its place, with the interpreter
                # held; so all of it is moved before.
                slices.move_to_place(written_by)
                written_by.close()
            slices.close_slice(closed.path)
            closed.open = None
            self.on_closed()
        except apsw.CantOpenError:
            closed.open = None  # pruned in the meantime
        except (apsw.Error, OSError):
            logger.exception("could not index %s; it stays readable and is tried again at the next start", closed.path)


def _checkpoint(path: Path) -> None:
    with suppress(apsw.Error):  # next time, or when the slice is closed
        slices.checkpoint(path)


def _step_back() -> None:
    """Lets the threads that answer somebody go first, where the system knows the priority of a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
