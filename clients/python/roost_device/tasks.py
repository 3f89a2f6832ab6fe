"""Tasks as their handlers see them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class TaskFailed(Exception):  # noqa: N818 - what became of the task, not a mistake of this program
    """A handler raises it: the task ends as failed, with this sentence as the reason."""


class Reporter(Protocol):
    """How a running task reaches its hub and its journal."""

    def progress(self, task_id: int, percent: float | None, note: str | None) -> None:
        """Tell how far the task is; never raises for a hub that is away."""

    def remember(self, task_id: int, memory: dict[str, Any]) -> None:
        """Keep something on disk."""


@dataclass(frozen=True, slots=True)
class Task:
    """Work from the hub. `memory` is what an earlier run of it, cut off in the middle, had asked to remember.

    `cancelled` is set when the owner cancels it, or when the hub gave it up: what the handler answers then is not
    wanted.
    """

    id: int
    type: str
    payload: Mapping[str, Any]
    attempt: int
    memory: Mapping[str, Any]
    cancelled: threading.Event = field(repr=False)
    _reporter: Reporter = field(repr=False)

    def progress(self, percent: float | None = None, note: str | None = None) -> None:
        """Tell the owner how far it is."""
        self._reporter.progress(self.id, percent, note)

    def remember(self, memory: dict[str, Any]) -> None:
        """Keep something on disk, for the handler's next run should this one be cut off."""
        self._reporter.remember(self.id, memory)


Handler = Callable[[Task], Any]


@dataclass(frozen=True, slots=True)
class Skill:
    """A type of task that this device takes.

    `interrupted` is called instead of `run` when the program ended in the middle of it; without one the task fails
    then. Something that may be done twice names its `run` there as well.
    """

    run: Handler
    interrupted: Handler | None
