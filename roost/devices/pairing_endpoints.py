"""How a device joins: hello, a code for its owner, the code confirmed by the device."""

from typing import Annotated

from fastapi import Response
from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.core.database import WriteSession
from roost.core.idempotency import Idempotent
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.core.settings import Settings
from roost.devices import pairing
from roost.devices.admission import Admission
from roost.devices.dependencies import DeviceIfAny
from roost.devices.joining import RETRY_CLAIMED_S, RETRY_UNCLAIMED_S
from roost.devices.schemas import HelloIn, HelloOut, PairedOut, PairingCodeOut, PairingConfirm, PairingStart

router = api_router("pairing")


# The empty alternative: a token may be sent, but need not.
@router.post(
    "/devices/hello",
    responses=problem_responses(401, 403, 409, 429),
    openapi_extra={"security": [{}]},
)
async def say_hello(request: Request, identity: DeviceIfAny, said: HelloIn) -> HelloOut:
    """A device makes itself known. A claimed device that sends its token as well updates what is known of it."""
    admission: Admission = request.app.state.device_admission
    address = admission.check_hello(request)
    device = await admission.reception.hello(said, address, identity)
    claimed = device.claimed_at is not None
    usual_s = RETRY_CLAIMED_S if claimed else RETRY_UNCLAIMED_S
    return HelloOut(
        device_id=device.id,
        device_uid=device.device_uid,
        claimed=claimed,
        retry_after_s=usual_s + admission.load.back_off_s(),
    )


@router.post(
    "/pairing/start",
    status_code=201,
    response_model=PairingCodeOut,
    responses=problem_responses(401, 403, 404, 409),
)
async def start_pairing(
    request: Request,
    principal: Annotated[UserPrincipal, requires("devices:write")],
    session: WriteSession,
    idempotency: Idempotent,
    wanted: PairingStart,
) -> Response | PairingCodeOut:
    """A code with which the device that said hello becomes the caller's. It replaces a code made before."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    settings: Settings = request.app.state.settings
    expire_s = wanted.expires_in_s or settings.pairing_code_expire_s
    made = await pairing.start(session, request.app.state.clock, principal, wanted, expire_s=expire_s)
    answer = PairingCodeOut(device_uid=made.device_uid, pairing_code=made.code, expires_at=made.expires_at)
    await idempotency.remember(session, answer, secrets=["pairing_code"])
    return answer


@router.post("/pairing/confirm", responses=problem_responses(403, 404, 409, 410, 429))
async def confirm_pairing(request: Request, tried: PairingConfirm) -> PairedOut:
    """The device hands in the code and gets its token, once."""
    state = request.app.state
    admission: Admission = state.device_admission
    admission.check_confirm(request)
    paired = await pairing.confirm(state.database, state.clock, tried)
    state.presence.seen(paired.device_id, state.clock.now_ms())
    state.device_logs.write(paired.device_id, "info", "The device was paired.")
    return PairedOut(device_id=paired.device_id, device_token=paired.token)
