"""The audit log for those who run the installation, and for the owners of an organization."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement
from starlette.requests import Request
from starlette.responses import StreamingResponse

from roost.access.audit.export import MEDIA_TYPES, Format, encode
from roost.access.audit.filters import AuditFilter, Wanted
from roost.access.audit.log import Actor, Deed, record
from roost.access.audit.repository import list_entries, require_organization, stream_entries, visible
from roost.access.audit.schemas import AuditRead
from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.database import ReadSession, WriteSession
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

OPS, ORGANIZATION = "ops:read", "organization:read"
Operator = Annotated[UserPrincipal, requires(OPS)]
Owner = Annotated[UserPrincipal, requires(ORGANIZATION)]
FileFormat = Annotated[Format, Query(description="CSV, or one JSON object a line.")]

router = api_router("audit")

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The entries, the oldest first.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.get(
    "/ops/audit",
    operation_id="list_audit",
    summary="The audit log",
    responses=problem_responses(400, 401, 403),
)
async def list_audit(
    principal: Operator,
    session: ReadSession,
    page: Page,
    wanted: Wanted,
    organization_id: Annotated[RowId | None, Query()] = None,
) -> list[AuditRead]:
    """Everything that was done or refused anywhere, the newest first."""
    return await _list(session, visible(principal, OPS, organization_id), wanted, page)


@router.get(
    "/ops/audit/export",
    operation_id="export_audit",
    summary="The audit log as a file",
    response_class=StreamingResponse,
    responses=_FILE | problem_responses(401, 403),
)
async def export_audit(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Operator,
    session: WriteSession,
    wanted: Wanted,
    organization_id: Annotated[RowId | None, Query()] = None,
    format: FileFormat = "csv",  # noqa: A002 - the name of the query parameter
) -> StreamingResponse:
    """The same entries, all of them, the oldest first. The export is itself an entry."""
    _record_export(session, principal, wanted, organization_id, format)
    return _file(request, visible(principal, OPS, organization_id), wanted, format)


@router.get(
    "/organizations/{organization_id}/audit",
    operation_id="list_organization_audit",
    summary="An organization's audit log",
    responses=problem_responses(400, 401, 403, 404),
)
async def list_organization_audit(
    principal: Owner, session: ReadSession, page: Page, wanted: Wanted, organization_id: RowId
) -> list[AuditRead]:
    """What was done or refused in this organization, the newest first."""
    await require_organization(session, principal, organization_id)
    return await _list(session, visible(principal, ORGANIZATION, organization_id), wanted, page)


@router.get(
    "/organizations/{organization_id}/audit/export",
    operation_id="export_organization_audit",
    summary="An organization's audit log as a file",
    response_class=StreamingResponse,
    responses=_FILE | problem_responses(401, 403, 404),
)
async def export_organization_audit(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Owner,
    session: WriteSession,
    wanted: Wanted,
    organization_id: RowId,
    format: FileFormat = "csv",  # noqa: A002 - the name of the query parameter
) -> StreamingResponse:
    """The same entries, all of them, the oldest first. The export is itself an entry."""
    await require_organization(session, principal, organization_id)
    _record_export(session, principal, wanted, organization_id, format)
    return _file(request, visible(principal, ORGANIZATION, organization_id), wanted, format)


async def _list(
    session: ReadSession, reach: list[ColumnElement[bool]], wanted: AuditFilter, page: Page
) -> list[AuditRead]:
    before_id = page.after_id if page.after is not None else None
    entries = await list_entries(session, reach, wanted, before_id=before_id, limit=page.limit + 1)
    return [AuditRead.of(entry) for entry in page.cut(entries, lambda entry: entry.id)]


def _record_export(
    session: WriteSession, principal: UserPrincipal, wanted: AuditFilter, organization_id: int | None, kind: Format
) -> None:
    deed = Deed(
        "audit.exported",
        Actor.of(principal),
        organization_id=organization_id,
        object_kind="audit",
        details={"format": kind, "filters": wanted.said()},
    )
    record(session, deed)


def _file(request: Request, reach: list[ColumnElement[bool]], wanted: AuditFilter, kind: Format) -> StreamingResponse:
    clock: Clock = request.app.state.clock
    name = f"roost-audit-{clock.now():%Y-%m-%d}.{kind}"
    pieces: AsyncIterator[bytes] = encode(stream_entries(request.app.state.database, reach, wanted), kind)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[kind], headers=headers)
