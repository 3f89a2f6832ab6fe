"""Events within this process: subjects with dots, subscribers by prefix."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

_log = logging.getLogger(__name__)

Handler = Callable[[str, dict[str, Any]], Awaitable[None] | None]


class Bus:
    """Hands every published message to every subscriber whose prefix fits, at once and in order.

    A handler that fails is logged and disturbs neither the publisher nor the other handlers. Handlers that
    return an awaitable run as tasks, which `close` waits for.
    """

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Handler]] = []
        self._running: set[asyncio.Task[None]] = set()

    def subscribe(self, subject_prefix: str, handler: Handler) -> Callable[[], None]:
        """Hear every subject that starts with `subject_prefix`; returns what ends the subscription."""
        entry = (subject_prefix, handler)
        self._handlers.append(entry)

        def unsubscribe() -> None:
            if entry in self._handlers:
                self._handlers.remove(entry)

        return unsubscribe

    def publish(self, subject: str, message: dict[str, Any]) -> None:
        """Tell the subscribers, now. Needs the running event loop only where a handler is asynchronous."""
        for prefix, handler in tuple(self._handlers):
            if not subject.startswith(prefix):
                continue
            try:
                outcome = handler(subject, message)
            except Exception:  # noqa: BLE001 - a subscriber's mistake must not reach the publisher
                _log.exception("A subscriber of %s failed", subject)
                continue
            if outcome is not None:
                task = asyncio.ensure_future(self._settle(subject, outcome))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Forget the subscribers and wait for the handlers that are still running."""
        self._handlers.clear()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    @staticmethod
    async def _settle(subject: str, outcome: Awaitable[None]) -> None:
        try:
            await outcome
        except Exception:  # noqa: BLE001 - as above
            _log.exception("A subscriber of %s failed", subject)
