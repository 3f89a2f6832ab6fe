"""Reading the audit log."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.filters import AuditFilter
from roost.access.audit.models import AuditEntry
from roost.access.models import Organization
from roost.access.principals import UserPrincipal, visible_to
from roost.core.database import Database
from roost.core.errors import Forbidden, NotFound

_ROWS_AT_ONCE = 1_000


def visible(principal: UserPrincipal, scope: str, organization_id: int | None) -> list[ColumnElement[bool]]:
    """The entries that the caller may see with `scope`, of one organization if one is named."""
    reach = [visible_to(principal, scope, organization=AuditEntry.organization_id)]
    return reach if organization_id is None else [*reach, AuditEntry.organization_id == organization_id]


async def require_organization(session: AsyncSession, principal: UserPrincipal, organization_id: int) -> None:
    """NotFound unless the caller may read this organization, or may read all and it has left entries.

    Forbidden for a member of it whose role there does not include its log.
    """
    allowed = principal.can("organization:read", organization_id)
    if not allowed and organization_id in principal.organization_ids:
        raise Forbidden("In this organization your role does not include organization:read.", code="missing_scope")
    if not allowed or not (
        await session.scalar(select(Organization.id).where(Organization.id == organization_id))
        or await session.scalar(select(AuditEntry.id).where(AuditEntry.organization_id == organization_id).limit(1))
    ):
        raise NotFound(f"There is no organization {organization_id}.", code="organization_not_found")


async def list_entries(
    session: AsyncSession, reach: list[ColumnElement[bool]], wanted: AuditFilter, *, before_id: int | None, limit: int
) -> list[AuditEntry]:
    """The newest first, from below `before_id` on."""
    query = select(AuditEntry).where(*reach, *wanted.conditions())
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return list(await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))


async def stream_entries(
    database: Database, reach: list[ColumnElement[bool]], wanted: AuditFilter
) -> AsyncIterator[list[dict[str, Any]]]:
    """All of them that are there now, the oldest first, in pieces: as rows of the table."""
    table = AuditEntry.__table__
    async with database.read() as session:
        newest_id = await session.scalar(select(func.max(AuditEntry.id))) or 0
    last_id = 0
    while True:
        query = select(table).where(*reach, *wanted.conditions())
        query = query.where(AuditEntry.id > last_id, AuditEntry.id <= newest_id)
        # A session for each piece: a slow reader must not hold a transaction open.
        async with database.read() as session:
            found = await session.execute(query.order_by(AuditEntry.id).limit(_ROWS_AT_ONCE))
            rows = [dict(row) for row in found.mappings()]
        if rows:
            yield rows
            last_id = rows[-1]["id"]
        if len(rows) < _ROWS_AT_ONCE:
            return
