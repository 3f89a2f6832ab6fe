"""Which answers are remembered as refusals, and which are everyday life."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.middleware import Middleware

from roost.access.audit.log import Deed
from roost.access.audit.refusals import CALLER, SIGN_IN_NAME, Refusals
from roost.access.principals import Grant, UserPrincipal
from roost.core import problems
from roost.core.errors import Conflict, Forbidden, Invalid, NotFound, RoostError, TooMany, Unauthorized
from roost.core.http import BodyGuard, Edge
from roost.devices.identity import DeviceIdentity

ADA = UserPrincipal(7, "ada@example.org", "ada", session_id=1, grants=(Grant("owner", 3),))
TWO_PLACES = UserPrincipal(8, "b@example.org", "b", session_id=2, grants=(Grant("owner", 3), Grant("viewer", 4)))
DEVICE = DeviceIdentity(15, "esp", 3, None)


class Heard:
    """In the place of the journal."""

    def __init__(self) -> None:
        self.deeds: list[Deed] = []

    def note(self, deed: Deed) -> None:
        self.deeds.append(deed)


async def answered(
    error: RoostError, caller: object = None, *, name: str | None = None, headers: dict[str, str] | None = None
) -> list[Deed]:
    """What is remembered of a request that is refused with this error."""
    heard, refusals = Heard(), Refusals()
    refusals.journal = heard  # type: ignore[assignment]
    app = FastAPI(middleware=[Middleware(Edge, on_refusal=refusals)])
    problems.install(app)

    @app.get("/devices/{device_id}")
    async def refuse(request: Request, device_id: int) -> None:
        if caller is not None:
            request.scope[CALLER] = caller
        if name is not None:
            request.scope[SIGN_IN_NAME] = name
        raise error

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        answer = await client.get("/devices/42", headers=headers or {})
    assert answer.status_code == error.status
    return heard.deeds


@pytest.mark.parametrize(
    ("error", "caller", "headers"),
    [
        (Unauthorized("Sign in first."), None, {}),
        (Unauthorized("Send a code.", code="second_factor_required"), None, {}),
        (NotFound("There is no such page."), ADA, {}),
        (NotFound("There is no device 42.", code="device_not_found"), None, {}),
        (Conflict("It is there already."), ADA, {}),
        (Invalid("No.", errors=[{"pointer": "/name", "detail": "Extra inputs are not permitted."}]), ADA, {}),
        (Invalid("No.", errors=[{"pointer": "/role", "detail": "Field required."}]), ADA, {}),
    ],
)
async def test_everyday_life_is_not_remembered(error: RoostError, caller: object, headers: dict[str, str]) -> None:
    assert await answered(error, caller, headers=headers) == []


@pytest.mark.parametrize(
    ("error", "caller", "headers"),
    [
        (Unauthorized("Sign in first."), None, {"Authorization": "Bearer x"}),
        (Unauthorized("Sign in first."), None, {"X-Device-Token": "rdt_x"}),
        (Unauthorized("Expired.", code="token_expired"), None, {}),
        (Forbidden("No.", code="missing_scope"), ADA, {}),
        (Forbidden("No."), None, {}),
        (NotFound("There is no device 42.", code="device_not_found"), ADA, {}),
        (NotFound("Wrong code.", code="pairing_code_wrong"), None, {}),
        (TooMany("Slower.", retry_after_s=1), DEVICE, {}),
        (Invalid("No.", errors=[{"pointer": "/role", "detail": "Extra inputs are not permitted."}]), ADA, {}),
    ],
)
async def test_refusals_are_remembered(error: RoostError, caller: object, headers: dict[str, str]) -> None:
    [deed] = await answered(error, caller, headers=headers)
    assert (deed.action, deed.outcome) == ("request.refused", "refused")
    expected = {"method": "GET", "path": "/devices/42", "status": error.status, "code": error.code}
    assert expected.items() <= deed.details.items()


@pytest.mark.parametrize(
    ("caller", "kind", "actor_id", "organization_id"),
    [(ADA, "user", 7, 3), (TWO_PLACES, "user", 8, None), (DEVICE, "device", 15, 3), (None, "anonymous", None, None)],
)
async def test_who_it_was_and_who_shall_see_it(
    caller: object, kind: str, actor_id: int | None, organization_id: int | None
) -> None:
    [deed] = await answered(Forbidden("No."), caller)
    assert (deed.actor.kind, deed.actor.id, deed.organization_id) == (kind, actor_id, organization_id)
    assert (deed.object_kind, deed.object_id) == ("device", "42")


async def test_a_token_that_is_typed_as_a_name_is_not_kept() -> None:
    [deed] = await answered(Unauthorized("Wrong.", code="wrong_credentials"), name="rdt_" + "s" * 43)
    assert (deed.action, deed.object_name) == ("user.sign_in_refused", "rdt_***")


async def test_a_body_that_comes_too_slowly_is_remembered() -> None:
    heard, refusals = Heard(), Refusals()
    refusals.journal = heard  # type: ignore[assignment]
    app = FastAPI(middleware=[Middleware(Edge, on_refusal=refusals), Middleware(BodyGuard, timeout_s=0.01)])
    problems.install(app)

    @app.post("/")
    async def take(request: Request) -> None:
        await request.body()

    sent: list[Any] = []

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [],
        "http_version": "1.1", "scheme": "http", "server": ("hub", 80), "client": ("10.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    never = asyncio.Event()
    await app(scope, receive, send)
    assert sent[0]["status"] == 408
    assert heard.deeds[0].details["code"] == "request_timeout"
