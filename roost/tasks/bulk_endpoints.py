"""One task for many devices, and what became of it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.tasks import orders
from roost.tasks.models import TaskBulk
from roost.tasks.repository import READ, WRITE, count_bulks, get_bulk, list_bulks, list_failures
from roost.tasks.schemas import BulkCreate, BulkFailure, BulkRead, BulkSkipped
from roost.tasks.states import STATUSES, Status

router = api_router("tasks")

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]
_MOST_REASONS = 20


@router.post("/tasks/bulk", status_code=201, response_model=BulkRead, responses=problem_responses(401, 403, 404, 413))
async def create_bulk_task(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, wanted: BulkCreate
) -> Response | BulkRead:
    """The same task for every device that fits the query now and may be given tasks; 20,000 at most."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    bulk = await orders.order_bulk(session, principal, wanted, request.app.state.clock.now())
    answer = (await _read(session, principal, [bulk]))[0]
    await idempotency.remember(session, answer)
    return answer


@router.get("/tasks/bulk", responses=problem_responses(400, 401, 403))
async def read_bulk_tasks(principal: Reader, session: ReadSession, page: Page) -> list[BulkRead]:
    """Those of which the caller may see a task, newest first."""
    found = await list_bulks(session, principal, before_id=page.after_id, limit=page.limit + 1)
    return await _read(session, principal, page.cut(found, lambda bulk: bulk.id))


@router.get("/tasks/bulk/{bulk_id}", responses=problem_responses(401, 403, 404))
async def read_bulk_task(principal: Reader, session: ReadSession, bulk_id: RowId) -> BulkRead:
    """How many did it, how many did not, and why. The tasks one by one: `GET /tasks?bulk_id=`."""
    return (await _read(session, principal, [await get_bulk(session, principal, bulk_id)]))[0]


@router.post("/tasks/bulk/{bulk_id}/cancel", responses=problem_responses(401, 403, 404))
async def cancel_bulk_task(request: Request, principal: Writer, session: WriteSession, bulk_id: RowId) -> BulkRead:
    """Cancel what has not ended, as far as the caller may."""
    bulk = await orders.cancel_bulk(session, principal, bulk_id, request.app.state.clock.now())
    return (await _read(session, principal, [bulk]))[0]


async def _read(session: AsyncSession, principal: UserPrincipal, bulks: Sequence[TaskBulk]) -> list[BulkRead]:
    """All of them with two questions."""
    ids = [bulk.id for bulk in bulks]
    counts: dict[int, dict[Status, int]] = {bulk_id: dict.fromkeys(STATUSES, 0) for bulk_id in ids}
    for bulk_id, status, count in await count_bulks(session, principal, ids):
        counts[bulk_id][status] = count
    failures: dict[int, list[BulkFailure]] = {bulk_id: [] for bulk_id in ids}
    for bulk_id, status, reason, count in await list_failures(session, principal, ids):
        if len(failures[bulk_id]) < _MOST_REASONS:
            failures[bulk_id].append(BulkFailure(status=status, reason=reason, count=count))
    return [
        BulkRead(
            id=bulk.id,
            type=bulk.type,
            payload=bulk.payload,
            devices=sum(counts[bulk.id].values()),
            counts=counts[bulk.id],
            failures=failures[bulk.id],
            skipped=[BulkSkipped.model_validate(one) for one in _seen(principal, bulk)],
            created_by=bulk.created_by,
            created_at=bulk.created_at,
        )
        for bulk in bulks
    ]


def _seen(principal: UserPrincipal, bulk: TaskBulk) -> list[dict[str, Any]]:
    """Whoever ordered it may have reached further."""
    return [one for one in bulk.skipped if principal.can(READ, one["organization_id"], one["home_id"])]
