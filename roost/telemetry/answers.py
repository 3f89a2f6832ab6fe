"""What the endpoints about history have in common: the store, its absence, and long answers."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from fastapi import Response
from starlette.requests import Request

from roost.core.clock import rfc3339_from_ms
from roost.core.errors import Unavailable
from roost.telemetry.log import ArchiveUnavailable, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.retention.history import History
from roost.telemetry.spans import Span

_encode = msgspec.json.Encoder().encode


@contextmanager
def reading_the_log() -> Iterator[None]:
    """A log that is away is a 503, and so is the archive where the answer needs it."""
    try:
        yield
    except ArchiveUnavailable:
        raise Unavailable(
            "Some of this time is only in the archive, which cannot be read at the moment; try again shortly, or ask"
            " for a later `from`.",
            code="archive_unavailable",
            retry_after_s=30,
        ) from None
    except LogUnavailable:
        raise Unavailable("Telemetry cannot be read at the moment; try again shortly.", retry_after_s=2) from None


def store_of(request: Request) -> TelemetryStore:
    store: TelemetryStore = request.app.state.store
    return store


async def buckets_before(request: Request, device_ids: Iterable[int], span: Span, keys: Sequence[str]) -> int | None:
    """Up to when (ms) only buckets may be left of what these devices sent in the span; None if that is nowhere."""
    history: History = request.app.state.history
    with reading_the_log():
        latest = await history.folded_before(device_ids, span.since, keys)
    return None if latest is None else min(latest, span.until)


def bucket_headers(folded_before: int | None) -> dict[str, str]:
    """What an answer says about that."""
    return {} if folded_before is None else {"X-Buckets-Before": rfc3339_from_ms(folded_before)}


async def as_json(rows: Sequence[dict[str, Any]], folded_before: int | None = None) -> Response:
    """Rows as they are: tens of thousands of them through a model would keep the event loop for a second."""
    content = await asyncio.to_thread(_encode, rows)
    return Response(content, media_type="application/json", headers=bucket_headers(folded_before))
