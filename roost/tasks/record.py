"""What is written beside the tasks that change in a session: their steps, and who is to hear of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from roost.tasks.messages import Place, changed, tell_changed
from roost.tasks.models import Task, TaskStep


class Record:
    """Gathers while the tasks change; `write` puts all of it into the session at once, however many there are."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._steps: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def step(self, task: Task, detail: str, *, digest: str | None = None, retry_at: datetime | None = None) -> None:
        """The task has come to the status that it has now."""
        row = {"task_id": task.id, "at": self.now, "status": task.status, "attempt": task.attempts, "detail": detail}
        self._steps.append({**row, "digest": digest, "retry_at": retry_at})

    def tell(self, task: Task, place: Place) -> None:
        """Others hear of the task as it is now."""
        self._events.append(changed(task, place, self.now))

    async def write(self, session: AsyncSession) -> None:
        """Call it once, before the commit."""
        await session.flush()
        if self._steps:
            await session.execute(insert(TaskStep), self._steps)
        tell_changed(session, self._events)
