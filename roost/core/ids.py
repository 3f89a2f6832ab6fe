"""Tokens and identifiers: what they look like, and how they are kept."""

import hashlib
import re
import secrets
from typing import Annotated

from pydantic import Field

RowId = Annotated[int, Field(ge=1, le=2**53 - 1, description="Integer id.")]
"""A row's id in paths and bodies: bounded so that every database and every JavaScript client can hold it."""

TOKEN_PATTERN = re.compile(r"\b(?:rdt|rrt|rpat|rinv)_[A-Za-z0-9_-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}\Z")


def new_token(prefix: str) -> str:
    """A fresh secret of 256 bits behind a prefix that says what it is (`rdt_` device, `rrt_` refresh)."""
    return prefix + secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """How a token is kept: SHA-256 in hex. It has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_request_id() -> str:
    """An id for one request, unique enough to find it in the logs."""
    return secrets.token_hex(12)


def sane_request_id(value: str) -> bool:
    """Whether a request id that a client sent may be taken over into logs and headers."""
    return _SANE_REQUEST_ID.match(value) is not None


def redact(text: str) -> str:
    """The text with every token replaced by its kind, safe for a log line."""
    return TOKEN_PATTERN.sub(lambda found: found.group()[:4].rstrip("_") + "_***", text)
