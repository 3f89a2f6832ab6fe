"""Giving homes and devices to another organization."""

from typing import Annotated

from pydantic import BaseModel
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.access.schemas import Strict
from roost.core.database import WriteSession
from roost.core.ids import RowId
from roost.core.problems import problem_responses
from roost.core.routers import api_router, gather
from roost.devices.transfers import transfer_device, transfer_home

Owner = Annotated[UserPrincipal, requires("organization:write")]

_homes = api_router("homes")
_devices = api_router("devices")


class HomeTransfer(Strict):
    """Who gets the home."""

    organization_id: RowId


class DeviceTransfer(HomeTransfer):
    """Who gets the device, and in which home of theirs it stands from now on."""

    home_id: RowId | None = None


class Transferred(BaseModel):
    """Where it is now, and which devices went there."""

    organization_id: int
    home_id: int | None
    device_ids: list[int]


@_homes.post(
    "/homes/{home_id}/transfer",
    operation_id="transfer_home",
    summary="Give a home to another organization",
    responses=problem_responses(401, 403, 404, 409),
)
async def give_home(
    request: Request, principal: Owner, session: WriteSession, home_id: RowId, wanted: HomeTransfer
) -> Transferred:
    """With rooms, residents, devices and all history. The caller owns both organizations. Assignments to it end."""
    device_ids = await transfer_home(session, request.app.state.clock, principal, home_id, wanted.organization_id)
    return Transferred(organization_id=wanted.organization_id, home_id=home_id, device_ids=list(device_ids))


@_devices.post(
    "/devices/{device_id}/transfer",
    operation_id="transfer_device",
    summary="Give a device to another organization",
    responses=problem_responses(401, 403, 404, 409),
)
async def give_device(
    request: Request, principal: Owner, session: WriteSession, device_id: RowId, wanted: DeviceTransfer
) -> Transferred:
    """With its history and its token: the device itself notices nothing. The caller owns both organizations."""
    device = await transfer_device(
        session,
        request.app.state.clock,
        principal,
        device_id,
        organization_id=wanted.organization_id,
        home_id=wanted.home_id,
    )
    return Transferred(organization_id=wanted.organization_id, home_id=device.home_id, device_ids=[device.id])


router = gather([_homes, _devices])
