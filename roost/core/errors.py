# ruff: noqa: N818 - these are refusals, not errors: they read as what they say
"""Refusals that reach a client, each with its status.

RoostError
├── Malformed 400
├── Unauthorized 401
├── Forbidden 403
├── NotFound 404
├── Conflict 409
├── Gone 410
├── TooLarge 413
├── Invalid 422
├── TooMany 429
├── Unavailable 503
└── NoRoom 507
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypedDict


class FieldError(TypedDict):
    """One field that does not hold: a JSON pointer into the body (or `/query/name`, `/path/name`), and why."""

    pointer: str
    detail: str


class RoostError(Exception):
    """A refusal with an HTTP status; `detail` is a sentence that a person can act on."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.headers: dict[str, str] = dict(headers or {})
        self.errors: list[FieldError] | None = None


class Malformed(RoostError):
    """The request cannot be read at all: broken JSON, a broken cursor."""

    status = 400
    title = "Bad Request"
    default_code = "malformed"


class Unauthorized(RoostError):
    """Nobody is signed in, or the credential is not (or no longer) good."""

    status = 401
    title = "Unauthorized"
    default_code = "unauthorized"

    def __init__(self, detail: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, code=code, headers={"WWW-Authenticate": 'Bearer realm="roost"', **(headers or {})})


class Forbidden(RoostError):
    """Signed in, but without the scope that this needs."""

    status = 403
    title = "Forbidden"
    default_code = "forbidden"


class NotFound(RoostError):
    """It does not exist, or the caller may not see it."""

    status = 404
    title = "Not Found"
    default_code = "not_found"


class Conflict(RoostError):
    """It contradicts what is there already."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class Gone(RoostError):
    """It was there and has expired for good."""

    status = 410
    title = "Gone"
    default_code = "gone"


class TooLarge(RoostError):
    """More bytes than are accepted."""

    status = 413
    title = "Content Too Large"
    default_code = "too_large"


class Invalid(RoostError):
    """Readable, but a value does not hold; `errors` names each field."""

    status = 422
    title = "Unprocessable Content"
    default_code = "invalid"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.errors = list(errors)


class TooMany(RoostError):
    """Too often; worth another try after `retry_after_s` seconds."""

    status = 429
    title = "Too Many Requests"
    default_code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(detail, code=code, headers={"Retry-After": str(max(1, round(retry_after_s)))})
        self.retry_after_s = retry_after_s


class Unavailable(RoostError):
    """Something this needs is away for the moment; worth another try after `retry_after_s` seconds."""

    status = 503
    title = "Service Unavailable"
    default_code = "unavailable"

    def __init__(self, detail: str, *, retry_after_s: float = 2, code: str | None = None) -> None:
        super().__init__(detail, code=code, headers={"Retry-After": str(max(1, round(retry_after_s)))})
        self.retry_after_s = retry_after_s


class NoRoom(RoostError):
    """There is too little room on the disk to store this."""

    status = 507
    title = "Insufficient Storage"
    default_code = "disk_low"


class CutShort(Exception):
    """An answer that has begun cannot be brought to its end: the connection is cut, so that the client knows."""
