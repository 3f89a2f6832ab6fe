"""The shadow over HTTP, for users and for the device itself."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from roost.access.principals import UserPrincipal
from roost.core.errors import Invalid
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.devices.dependencies import device_or_user
from roost.devices.identity import DeviceIdentity
from roost.devices.placement import WRITE
from roost.devices.reach import check_own, ensure_visible
from roost.devices.shadow.models import ShadowChange
from roost.devices.shadow.schemas import ShadowActor, ShadowChangeOut, ShadowIn, ShadowOut
from roost.devices.shadow.service import Shadows, Wish, list_changes
from roost.devices.shadow.state import Shadow, Side

router = api_router("devices")

Reader = Annotated[DeviceIdentity | UserPrincipal, device_or_user("devices:read")]
Writer = Annotated[DeviceIdentity | UserPrincipal, device_or_user(WRITE)]
_REFUSALS = problem_responses(401, 403, 404, 409, 413, 429)


@router.get("/devices/{device_id}/shadow", responses=problem_responses(401, 403, 404))
async def read_shadow(request: Request, caller: Reader, device_id: RowId) -> ShadowOut:
    """What the device shall be, what it says it is, and what lies between."""
    await ensure_visible(request.app.state.database, caller, device_id)
    shadows: Shadows = request.app.state.shadows
    return _out(await shadows.get(device_id))


@router.put("/devices/{device_id}/shadow", responses=_REFUSALS)
async def replace_shadow(request: Request, caller: Writer, device_id: RowId, wanted: ShadowIn) -> ShadowOut:
    """Set the caller's side as a whole: a user `desired`, the device `reported`."""
    return await _change(request, caller, device_id, wanted, whole=True)


@router.patch("/devices/{device_id}/shadow", responses=_REFUSALS)
async def update_shadow(request: Request, caller: Writer, device_id: RowId, wanted: ShadowIn) -> ShadowOut:
    """Merge into the caller's side (RFC 7396): objects merge, null removes a member, everything else replaces it."""
    return await _change(request, caller, device_id, wanted, whole=False)


@router.get("/devices/{device_id}/shadow/changes", responses=problem_responses(400, 401, 403, 404))
async def read_shadow_changes(
    request: Request,
    caller: Reader,
    device_id: RowId,
    page: Page,
    side: Annotated[
        Side | None, Query(description="Only what users desired, or only what the device reported.")
    ] = None,
) -> list[ShadowChangeOut]:
    """Who changed what, newest first; of each side the newest 200 changes are kept."""
    await ensure_visible(request.app.state.database, caller, device_id)
    async with request.app.state.database.read() as session:
        changes = await list_changes(session, device_id, side, before_id=page.after_id or None, limit=page.limit + 1)
    return [_change_out(change) for change in page.cut(changes, lambda change: change.id)]


async def _change(
    request: Request, caller: DeviceIdentity | UserPrincipal, device_id: int, wanted: ShadowIn, *, whole: bool
) -> ShadowOut:
    shadows: Shadows = request.app.state.shadows
    if isinstance(caller, DeviceIdentity):
        check_own(caller, device_id)
        given, other, why = wanted.reported, wanted.desired, "A device sends `reported`; users set `desired`."
    else:
        given, other, why = wanted.desired, wanted.reported, "A user sends `desired`; only the device sets `reported`."
    if given is None or other is not None:
        pointer = "/desired" if isinstance(caller, UserPrincipal) == (given is None) else "/reported"
        raise Invalid(why, errors=[{"pointer": pointer, "detail": why}])
    wish = Wish(given, whole=whole, version=wanted.version)
    if isinstance(caller, DeviceIdentity):
        return _out(await shadows.report(caller, wish))
    return _out(await shadows.desire(caller, device_id, wish))


def _out(shadow: Shadow) -> ShadowOut:
    return ShadowOut(
        device_id=shadow.device_id,
        desired=shadow.desired.document,
        desired_version=shadow.desired.version,
        desired_at=shadow.desired.changed_at,
        reported=shadow.reported.document,
        reported_version=shadow.reported.version,
        reported_at=shadow.reported.changed_at,
        delta=shadow.delta,
        delta_version=shadow.delta_version,
    )


def _change_out(change: ShadowChange) -> ShadowChangeOut:
    return ShadowChangeOut(
        id=change.id,
        side="desired" if change.side == "desired" else "reported",
        version=change.version,
        changed_at=change.changed_at,
        actor=ShadowActor.model_validate({"kind": change.actor_kind, "id": change.actor_id, "name": change.actor_name}),
        patch=change.patch,
    )
