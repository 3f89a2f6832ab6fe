"""`Idempotency-Key`: the same creating request twice makes one thing, and both answers are the same.

The key counts together with the principal, the route and the body. The row is reserved in the transaction that creates
the thing, so there is no moment in which one exists without the other; a second request at the same time waits for the
first.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Header
from pydantic import BaseModel
from sqlalchemy import JSON, Integer, String, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.requests import Request
from starlette.responses import JSONResponse

from roost.core.clock import Clock
from roost.core.database import Base, BigId, UtcDateTime
from roost.core.errors import Conflict

_KEEP = timedelta(hours=24)


class IdempotencyRow(Base):
    """The answer to one creating request, kept for a day."""

    __tablename__ = "idempotency_keys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    status: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Idempotency:
    """The request's `Idempotency-Key`, if it has one; without, both methods do nothing."""

    def __init__(self, key: str | None, route: str, body: bytes, clock: Clock) -> None:
        self._key = key
        self._route = route
        self._body = body
        self._clock = clock
        self._digest: str | None = None

    async def replay(self, session: AsyncSession, principal: str) -> JSONResponse | None:
        """The first answer when this request was made before; otherwise None, and the key is reserved.

        `principal` names the caller (`user:7`). Raises Conflict when the first request has no answer yet.
        """
        if self._key is None:
            return None
        parts = (principal.encode(), self._route.encode(), self._key.encode("utf-8", "surrogatepass"), self._body)
        self._digest = hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).hexdigest()
        now = self._clock.now()
        await session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - _KEEP))
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        reserve = insert(IdempotencyRow).values(digest=self._digest, answer=None, created_at=now)
        unless_known = reserve.on_conflict_do_nothing(index_elements=["digest"])
        if await session.scalar(unless_known.returning(IdempotencyRow.id)) is not None:
            return None
        query = select(IdempotencyRow.status, IdempotencyRow.answer).where(IdempotencyRow.digest == self._digest)
        row = (await session.execute(query)).one_or_none()
        if row is None or row.status is None:
            raise Conflict("The first request with this Idempotency-Key is still under way.", code="in_progress")
        return JSONResponse(row.answer, status_code=row.status, headers={"Idempotent-Replayed": "true"})

    async def remember(
        self,
        session: AsyncSession,
        answer: BaseModel | dict[str, Any],
        *,
        status: int = 201,
        secrets: Iterable[str] = (),
    ) -> None:
        """Keep the answer for a replay, with the fields named in `secrets` emptied."""
        if self._digest is None:
            return
        kept = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else dict(answer)
        for name in secrets:
            if name in kept:
                kept[name] = None
        change = update(IdempotencyRow).where(IdempotencyRow.digest == self._digest)
        await session.execute(change.values(status=status, answer=kept))


async def _idempotency(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="Makes a repeated request harmless for 24 hours."),
    ] = None,
) -> Idempotency:
    body = await request.body() if idempotency_key is not None else b""
    route = f"{request.method} {request.url.path}"
    return Idempotency(idempotency_key, route, body, request.app.state.clock)


Idempotent = Annotated[Idempotency, Depends(_idempotency)]
"""The idempotency of a creating endpoint."""
