"""Many small requests in one transaction: while one group is committed, the next one gathers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.database import Database
from roost.core.errors import RoostError

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Work = Callable[[AsyncSession, Sequence[Request]], Awaitable[Sequence[Answer | RoostError]]]

_LARGEST = 500


class Groups(Generic[Request, Answer]):
    """Hands requests to `work` in groups, each with a write session of its own.

    `work` answers every request in its place, with a RoostError for one that is refused; a refusal has changed nothing.
    When the database refuses something in it, everything of the group is undone and asked again one by one, so that
    nobody suffers for another's value; when the database is away, everybody hears so.
    """

    def __init__(self, database: Database, work: Work[Request, Answer], name: str) -> None:
        self._database = database
        self._work = work
        self._name = name
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """The answer, after its commit. Raises the refusal, or what the database says."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._run(), name=self._name)
        return await future

    async def stop(self) -> None:
        """Finish what was asked: a transaction that is cancelled would keep SQLite locked."""
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST))]
                # Whoever has gone meanwhile must not get what nobody would hear of.
                group = [entry for entry in group if not entry[1].done()]
                if group:
                    await self._serve(group)
        finally:
            self._worker = None

    async def _serve(self, group: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        try:
            async with self._database.write() as session:
                answers = await self._work(session, [request for request, _ in group])
        except Exception as error:  # noqa: BLE001 - each of them gets it and answers for it
            if len(group) > 1 and _concerns_one(error):
                for entry in group:
                    await self._serve([entry])
            else:
                for _, future in group:
                    _settle(future, error)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            _settle(future, answer)


def _concerns_one(error: Exception) -> bool:
    """Whether others may fare better: a value that does not fit, a device that has just been deleted."""
    if isinstance(error, OperationalError | InterfaceError) or getattr(error, "connection_invalidated", False):
        return False
    return isinstance(error, DBAPIError | ValueError | OverflowError)


def _settle(future: "asyncio.Future[Answer]", answer: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
        # A caller that was cancelled never looks; that is no leak.
        future.exception()
    else:
        future.set_result(answer)
