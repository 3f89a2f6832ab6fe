"""Spans in the words of OpenTelemetry. Imported only when there is an endpoint to send them to."""

import asyncio
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import roost
from roost.core import logging as logs
from roost.core.http import PREFIX
from roost.core.ids import redact
from roost.telemetry.ingest import Handled

# Asked every few seconds by whoever watches the hub; nobody looks for them in a trace.
UNTRACED = frozenset({"/health", "/healthz", "/readyz", "/metrics", "/system/health"})
# The end of the process does not wait longer for a collector that is away.
FAREWELL_S = 3.0
_STARTED = "roost_span_started_ns"


class Spans:
    """Traces for one collector. `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and the like count as everywhere."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/") + "/v1/traces"
        named = Resource.create()
        if str(named.attributes.get("service.name", "")).startswith("unknown_service"):
            named = named.merge(Resource({"service.name": "roost"}))
        self._provider = TracerProvider(
            resource=named.merge(Resource({"service.version": roost.__version__})), shutdown_on_exit=False
        )
        self._tracer = self._provider.get_tracer("roost", roost.__version__)
        self._propagator = TraceContextTextMapPropagator()

    def start(self) -> None:
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(self._endpoint)))

    async def stop(self) -> None:
        # The exporter tries again for longer than anybody wants to wait. A thread of the loop's own pool would hold the
        # loop, and then the interpreter, until it has given up; a daemon is left behind.
        farewell = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        farewell.start()
        await asyncio.to_thread(farewell.join, FAREWELL_S)

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"].removeprefix(PREFIX)
        if path in UNTRACED:
            await app(scope, receive, send)
            return
        parent = self._propagator.extract(dict(Headers(scope=scope)))
        attributes = {
            "http.request.method": scope["method"],
            "url.path": redact(scope["path"]),
            "url.scheme": scope["scheme"],
            "roost.request_id": logs.request_id.get() or "",
        }
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method, parent, SpanKind.SERVER, attributes, record_exception=False
        ) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_answer(span, message["status"])
                await send(message)

            try:
                await app(scope, receive, send_and_note)
            finally:
                route = _route_of(scope)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    def on_handled(self, group: Handled) -> None:
        if not group.began_ns:
            return
        attributes = {"roost.messages": group.stored, "roost.refused": group.refused}
        span = self._tracer.start_span("telemetry commit", attributes=attributes, start_time=group.began_ns)
        if group.failed:
            span.set_status(Status(StatusCode.ERROR, "The log did not take the group."))
        span.end(group.began_ns + int(group.took_s * 1e9))

    def watch_engine(self, engine: AsyncEngine) -> None:
        system = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

        def began(**given: Any) -> None:
            given["conn"].info[_STARTED] = time.time_ns()

        def ended(**given: Any) -> None:
            self._statement(given["conn"].info, given["statement"], system).end()

        def failed(context: ExceptionContext) -> None:
            if context.connection is None or context.statement is None:
                return
            span = self._statement(context.connection.info, context.statement, system)
            span.set_status(Status(StatusCode.ERROR, type(context.original_exception).__name__))
            span.end()

        event.listen(engine.sync_engine, "before_cursor_execute", began, named=True)
        event.listen(engine.sync_engine, "after_cursor_execute", ended, named=True)
        event.listen(engine.sync_engine, "handle_error", failed)

    def _statement(self, info: MutableMapping[Any, Any], statement: str, system: str) -> Span:
        """A span of what was just executed. The text has places for its values, never the values."""
        verb = statement.lstrip().partition(" ")[0].upper()
        return self._tracer.start_span(
            f"{verb} {system}",
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": system, "db.operation.name": verb, "db.query.text": statement[:2000]},
            start_time=info.pop(_STARTED, None),
        )


def _note_answer(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _route_of(scope: Scope) -> str | None:
    """The path as the route is declared (`/devices/{device_id}`); what was guessed has none."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None and "endpoint" in scope:
        # The plain routes of the ingest path name only their function.
        routes = (route for route in scope["app"].routes if isinstance(route, Route))
        path = next((route.path for route in routes if route.endpoint is scope["endpoint"]), None)
    if path is None:
        return None
    return path if path.startswith(PREFIX) else PREFIX + path
