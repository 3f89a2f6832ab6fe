"""What the endpoints about history have in common: the store, its absence, and long answers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from fastapi import Response
from starlette.requests import Request

from roost.core.errors import Unavailable
from roost.telemetry.log import LogUnavailable
from roost.telemetry.queries import TelemetryStore

_encode = msgspec.json.Encoder().encode


@contextmanager
def reading_the_log() -> Iterator[None]:
    """A log that is away is a 503."""
    try:
        yield
    except LogUnavailable:
        raise Unavailable("Telemetry cannot be read at the moment; try again shortly.", retry_after_s=2) from None


def store_of(request: Request) -> TelemetryStore:
    store: TelemetryStore = request.app.state.store
    return store


async def as_json(rows: Sequence[dict[str, Any]]) -> Response:
    """Rows as they are: tens of thousands of them through a model would keep the event loop for a second."""
    return Response(await asyncio.to_thread(_encode, rows), media_type="application/json")
