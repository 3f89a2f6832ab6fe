"""What every HTTP request passes on its way in and out, as plain ASGI: ids, paths, limits, headers, the access line."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost.core import logging as logs
from roost.core.errors import CutShort, Invalid
from roost.core.ids import new_request_id, sane_request_id
from roost.core.problems import UNEXPECTED, problem

PREFIX = "/api/v1"
MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 30.0
# Answers of which whoever keeps the audit log wants to hear.
REFUSALS = frozenset({401, 403, 404, 408, 413, 422, 429})
_LONGEST_PROBLEM = 64 * 1024
# Never sent: what the access line says of a request whose client left before its body was complete.
_CLIENT_WENT_AWAY = 499

_log = logging.getLogger("roost.http")
_error_log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
_OWN_PATHS = frozenset({"/", "/app", "/api", "/docs", "/redoc", "/openapi.json", "/mqtt", "/favicon.ico"})
_OWN_FOLDERS = ("/app/", "/api/", "/docs/", "/redoc/", "/mqtt/")
_CAMEL_NAME = re.compile(r"[a-z]+(?:[A-Z][a-z]+)+\Z")
_CAMEL_HUMP = re.compile(r"(?=[A-Z])")


OnRefusal = Callable[[Scope, int, bytes], None]


class Edge:
    """Outermost: the request's id, the security headers, the access line, and a problem for what nobody foresaw.

    `on_refusal` hears of every answer of `REFUSALS`, with its body as far as it is a problem document's size.
    """

    def __init__(self, app: ASGIApp, *, on_refusal: OnRefusal | None = None) -> None:
        self._app = app
        self._on_refusal = on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id")
        request_id = given if given is not None and sane_request_id(given) else new_request_id()
        token = logs.request_id.set(request_id)
        client = scope.get("client")
        address = logs.client_address.set(client[0] if client else None)
        scope["roost.path"] = scope["path"]
        try:
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
            else:
                await self._http(scope, receive, send, request_id)
        finally:
            logs.request_id.reset(token)
            logs.client_address.reset(address)

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0
        body = b""

        async def send_with_headers(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode("latin-1")))
                headers.extend(pair for pair in _SECURITY_HEADERS if pair[0] not in present)
            elif status in REFUSALS and len(body) < _LONGEST_PROBLEM:
                body += message.get("body", b"")
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_WENT_AWAY
        except CutShort as error:
            _error_log.warning("%s", error)
        except Exception:
            _error_log.exception("A request failed unexpectedly")
            if status:
                raise  # Too late for another answer: the server has to cut the connection.
            answer = problem(500, "internal_error", UNEXPECTED, instance=scope["roost.path"])
            await answer(scope, receive, send_with_headers)
        finally:
            _access_line(scope, status, time.perf_counter() - started)
            if status in REFUSALS and self._on_refusal is not None:
                self._on_refusal(scope, status, body)


def _access_line(scope: Scope, status: int, duration_s: float) -> None:
    path: str = scope["roost.path"]
    quiet = 200 <= status < 300 and path.endswith(("/telemetry", "/readings", "/health", "/healthz", "/readyz"))
    level = logging.DEBUG if quiet else logging.INFO
    if not _log.isEnabledFor(level):
        return
    client = scope.get("client")
    _log.log(
        level,
        "%s %s %s",
        scope["method"],
        path,
        status or "-",
        extra={
            "method": scope["method"],
            "path": path,
            "status": status,
            "duration_ms": round(duration_s * 1000, 1),
            "client": client[0] if client else None,
        },
    )


class TwinPaths:
    """Sends the unprefixed twin of every route to its canonical path, and camelCase query names to snake_case."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            path: str = scope["path"]
            if path not in _OWN_PATHS and not path.startswith(_OWN_FOLDERS):
                scope["path"] = PREFIX + path
                if scope.get("raw_path"):
                    scope["raw_path"] = PREFIX.encode() + scope["raw_path"]
            query: bytes = scope.get("query_string", b"")
            if query and any(65 <= byte <= 90 for byte in query):
                scope["query_string"] = _snake_case(query)
        await self._app(scope, receive, send)


def _snake_case(query: bytes) -> bytes:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    if not any(_CAMEL_NAME.match(name) for name, _ in pairs):
        return query
    return urlencode([(_snake_case_name(name), value) for name, value in pairs]).encode("latin-1")


def _snake_case_name(name: str) -> str:
    return _CAMEL_HUMP.sub("_", name).lower() if _CAMEL_NAME.match(name) else name


class BodyGuard:
    """At most MAX_BODY_BYTES of body, chunked ones included, within BODY_TIMEOUT_S: 413 and 408 otherwise."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            detail = f"The body may have at most {self._max_bytes:,} bytes."
            answer = problem(413, "too_large", detail, instance=scope["roost.path"], headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        await self._app(scope, self._guarded(receive), send)

    def _guarded(self, receive: Receive) -> Receive:
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self._timeout_s

        async def guarded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {self._timeout_s:g} s.",
                    headers={"Connection": "close"},
                ) from None  # fmt: skip
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > self._max_bytes:
                    raise HTTPException(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {self._max_bytes:,} bytes.",
                        headers={"Connection": "close"},
                    )  # fmt: skip
            else:
                complete = True
            return message

        return guarded


class Cors:
    """Lets the configured origins read answers and make requests with a bearer token; others stay same-origin.

    A page of another origin may not even ask: its preflights are refused, and so is what changes something and, as the
    browser says, comes from another site.
    """

    _METHODS = "GET, POST, PUT, PATCH, DELETE"
    _HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Device-Token, X-Request-Id"
    _EXPOSED = "Link, Retry-After, X-Next-Cursor, X-Request-Id"

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        if not ("*" in self._origins or origin in self._origins):
            if _is_foreign(scope):
                await _foreign_origin(scope, origin)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = self._EXPOSED
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                headers.add_vary_header("Origin")
            await send(message)

        if scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope):
            headers = [
                (b"access-control-allow-methods", self._METHODS.encode()),
                (b"access-control-allow-headers", self._HEADERS.encode()),
                (b"access-control-max-age", b"600"),
            ]
            await send_allowed({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send_allowed)


def _is_foreign(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if scope["method"] == "OPTIONS":
        return "access-control-request-method" in headers
    return scope["method"] not in {"GET", "HEAD"} and headers.get("sec-fetch-site") == "cross-site"


def _foreign_origin(scope: Scope, origin: str) -> JSONResponse:
    detail = f"Pages of {origin[:100]} may not call this hub; its operator can name them in ROOST_CORS_ORIGINS."
    return problem(403, "origin_not_allowed", detail, instance=scope["roost.path"])


_known_names: dict[int, frozenset[str]] = {}


async def reject_unknown_query(request: Request) -> None:
    """A dependency for routers: a query parameter that the route does not know is a 422, not silently ignored."""
    if not request.scope.get("query_string"):
        return
    dependant: Dependant | None = getattr(request.scope.get("route"), "dependant", None)
    if dependant is None:
        return
    known = _known_names.get(id(dependant))
    if known is None:
        known = _known_names[id(dependant)] = frozenset(_query_names(dependant))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise Invalid(
            f"There is no query parameter {unknown[0]!r} here; known are: {names}.",
            code="unknown_query",
            errors=[{"pointer": f"/query/{name}", "detail": "Unknown query parameter."} for name in unknown],
        )


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names
