"""OpenTelemetry traces, for those who have a collector. Without an endpoint nothing of it is loaded, nothing runs."""

import importlib
import logging
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Receive, Scope, Send

from roost.core.settings import Settings
from roost.telemetry.ingest import Handled

_log = logging.getLogger(__name__)


class Tracing(Protocol):
    """What makes spans of requests, statements and commits."""

    def start(self) -> None:
        """Begin to export; a thread of its own sends what has gathered."""

    async def stop(self) -> None:
        """Send the rest, or give up on it after a moment."""

    def watch_engine(self, engine: AsyncEngine) -> None:
        """A span for every statement."""

    def on_handled(self, group: Handled) -> None:
        """A span for the commit of a group; a watcher of the ingest path."""

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer within a span."""


def tracing_for(settings: Settings) -> Tracing | None:
    """None without an endpoint, or without the library, which is then said once."""
    if settings.otlp_endpoint is None:
        return None
    try:
        spans = importlib.import_module("roost.ops.spans")
    except ModuleNotFoundError as error:
        _log.warning("No traces are sent (%s): install Roost as roost[otel], or unset the OTLP endpoint.", error)
        return None
    tracing: Tracing = spans.Spans(settings.otlp_endpoint)
    return tracing


class TracedRequests:
    """ASGI middleware that puts every HTTP request into a span."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._tracing.request(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)
