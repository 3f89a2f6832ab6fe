"""Refusals on the wire: RFC 9457 problem details, for every error that leaves the hub."""

import logging
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from roost.core.errors import Conflict, FieldError, Invalid, Malformed, RoostError, Unavailable

_log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
_AWAY = "The database cannot be reached at the moment; try again in a few seconds."
_GAVE_WAY = "Somebody else was changing the same things at the same moment; try again."
_CODES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
}
_SENTENCES = {404: "There is nothing at this address.", 405: "This address does not answer to that method."}


class FieldProblem(BaseModel):
    """One field that does not hold."""

    pointer: str = Field(description="JSON pointer into the body, or /query/name, /path/name, /header/name.")
    detail: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="A sentence a person can act on.")
    code: str = Field(description="Stable, for programs.")
    instance: str
    errors: list[FieldProblem] | None = None


def problem(
    status: int, code: str, detail: str, *, instance: str,
    errors: list[FieldError] | None = None, headers: dict[str, str] | None = None, title: str | None = None,
) -> JSONResponse:  # fmt: skip
    """A problem as an answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": instance,
    }
    if errors is not None:
        body["errors"] = errors
    return JSONResponse(body, status_code=status, headers=headers, media_type=PROBLEM_JSON)


def problem_from(error: RoostError, instance: str) -> JSONResponse:
    """A refusal as an answer."""
    return problem(
        error.status, error.code, error.detail,
        instance=instance, errors=error.errors, headers=error.headers, title=error.title,
    )  # fmt: skip


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses=`: documents that these statuses carry a problem."""
    return {status: problem_response(status) for status in statuses}


def problem_response(status: int) -> dict[str, Any]:
    """The OpenAPI description of a problem with this status."""
    return {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def instance_of(request: Request) -> str:
    """The path as the client wrote it, without query (it may carry a token)."""
    return str(request.scope.get("roost.path", request.url.path))


def install(app: FastAPI) -> None:
    """Let every error of the application leave as a problem."""
    handlers: dict[Any, Any] = {
        RoostError: _on_roost_error,
        RequestValidationError: _on_validation_error,
        HTTPException: _on_http_exception,
        IntegrityError: _on_integrity_error,
        DataError: _on_data_error,
        OverflowError: _on_data_error,
        DBAPIError: _on_database_error,
        PoolTimeoutError: _on_connection_error,
        OSError: _on_connection_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _on_roost_error(request: Request, error: RoostError) -> JSONResponse:
    return problem_from(error, instance_of(request))


async def _on_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return problem_from(Malformed("The body is not valid JSON.", code="malformed_json"), instance_of(request))
    errors: list[FieldError] = [
        {"pointer": _pointer(entry["loc"]), "detail": _sentence(str(entry["msg"]))} for entry in found
    ]
    first = errors[0]
    detail = f"{first['pointer'] or 'The body'}: {first['detail']}"
    return problem_from(Invalid(detail, errors=errors), instance_of(request))


async def _on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    status = error.status_code
    said = error.detail if error.detail and error.detail != HTTPStatus(status).phrase else ""
    if status == 400 and said == "There was an error parsing the body":
        said = "The body cannot be read; check its encoding and nesting."
    detail = said or _SENTENCES.get(status, f"{HTTPStatus(status).phrase}.")
    headers = dict(error.headers or {})
    return problem(status, _CODES.get(status, "error"), detail, instance=instance_of(request), headers=headers)


async def _on_integrity_error(request: Request, error: IntegrityError) -> JSONResponse:
    # Two requests raced past their checks; the database let only one of them through.
    _log.info("A constraint refused a change: %s", error.orig)
    refusal = Conflict("Something else changed this at the same moment; look at it again and repeat the request.")
    return problem_from(refusal, instance_of(request))


async def _on_data_error(request: Request, error: Exception) -> JSONResponse:
    _log.info("The database cannot hold a value: %s", error)
    return problem_from(Invalid("A value is outside of what can be stored."), instance_of(request))


async def _on_database_error(request: Request, error: DBAPIError) -> JSONResponse:
    # PostgreSQL's classes: 22 a value that does not fit; 08, 53, 57 the server is away, full or shutting down.
    sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
    if sqlstate.startswith("22") or isinstance(error.orig, OverflowError):
        return await _on_data_error(request, error)
    away = isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
    if away or sqlstate[:2] in {"08", "53", "57"}:
        return await _on_connection_error(request, error)
    if sqlstate[:2] == "40":
        # Two transactions waited for each other; the database chose this one to give way, and undid it.
        _log.warning("A transaction had to give way: %s", error)
        return problem_from(Unavailable(_GAVE_WAY, code="database_busy", retry_after_s=1), instance_of(request))
    _log.error("The database refused a statement", exc_info=error)
    return problem(500, "internal_error", UNEXPECTED, instance=instance_of(request))


async def _on_connection_error(request: Request, error: Exception) -> JSONResponse:
    _log.warning("The database cannot be reached: %s", error)
    return problem_from(Unavailable(_AWAY, code="database_unavailable", retry_after_s=5), instance_of(request))


UNEXPECTED = "Something went wrong here, not with your request. The log has the details under the X-Request-Id."


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = location[1:] if location and location[0] == "body" else location
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return (text[:1].upper() + text[1:]).rstrip(".") + "."


def document_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """Complete an OpenAPI document: the Problem schema, and the refusals that any operation can meet."""
    components = cast("dict[str, Any]", schema.setdefault("components", {}).setdefault("schemas", {}))
    described = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(described.pop("$defs", {}))
    components["Problem"] = described
    for operations in schema.get("paths", {}).values():
        for operation in operations.values():
            responses = operation["responses"]
            statuses = [422, 500, 503]
            if "requestBody" in operation:
                statuses += [400, 408, 413]
            if operation.get("security"):
                statuses += [401]
            for status in statuses:
                if str(status) not in responses or status == 422:
                    responses[str(status)] = problem_response(status)
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    return schema
