"""ThingsBoard's device API over HTTP: `/api/v1/<token>/…`, off unless `ROOST_THINGSBOARD_HTTP` is set.

After https://thingsboard.io/docs/reference/http-api/. The token stands in the path, where proxies write it into their
logs; ours, the audit log and answers hold `{token}` in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roost.core.bus import Bus
from roost.core.errors import Invalid
from roost.core.problems import instance_of, problem
from roost.core.tasks import end
from roost.devices.dependencies import identify
from roost.devices.identities import TOKEN_PREFIX
from roost.devices.identity import DeviceIdentity
from roost.devices.shadow.attributes import attributes, update
from roost.devices.shadow.messages import CHANGED
from roost.devices.shadow.service import Shadows, Wish
from roost.tasks.leasing import Poll
from roost.tasks.rpc import completion, rpc_of
from roost.tasks.schemas import DEFAULT_CONTEXT
from roost.tasks.service import Tasks, place_of
from roost.telemetry.ingest import Ingest
from roost.telemetry.refusals import Refusal
from roost.telemetry.thingsboard import KIND, answer_call

DEFAULT_WAIT_S = 20.0
LONGEST_WAIT_S = 60.0
# Time for an answer; without one the call is sent again.
LEASE_S = 60

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

Handler = Callable[[Request, DeviceIdentity], Awaitable[Response]]


class _TokenConvertor(Convertor[str]):
    """Only what looks like a device token: the paths of the hub's own API never do."""

    regex = f"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def thingsboard_routes(prefix: str) -> list[Route]:
    """All of them; to be added where the operator wants them."""
    register_url_convertor("device_token", _TokenConvertor())
    root = f"{prefix}/{{token:device_token}}"
    return [
        Route(f"{root}/telemetry", _as_device("telemetry", post_telemetry), methods=["POST"]),
        Route(f"{root}/attributes", _as_device("attributes", post_attributes), methods=["POST"]),
        Route(f"{root}/attributes", _as_device("attributes", get_attributes), methods=["GET"]),
        Route(f"{root}/attributes/updates", _as_device("attributes/updates", get_updates), methods=["GET"]),
        Route(f"{root}/rpc", _as_device("rpc", get_call), methods=["GET"]),
        Route(f"{root}/rpc", _as_device("rpc", post_call), methods=["POST"]),
        Route(f"{root}/rpc/{{number:int}}", _as_device("rpc", post_answer), methods=["POST"]),
    ]


def _as_device(leaf: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        # Before anything can fail: from here on nobody finds the token in what is written down.
        token = request.scope["path_params"].pop("token")
        request.scope["roost.path"] = f"/api/v1/{{token}}/{leaf}"
        return await handler(request, await identify(request, token))

    return handle


async def post_telemetry(request: Request, device: DeviceIdentity) -> Response:
    """Values, or what was wrong with them. 200 when they are on disk, or safe in the queue."""
    ingest: Ingest = request.app.state.ingest
    try:
        await ingest.accept(device, KIND, await request.body())
    except Refusal as refusal:
        headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else None
        return problem(refusal.status, refusal.code, refusal.detail, instance=instance_of(request), headers=headers)
    return Response()


async def post_attributes(request: Request, device: DeviceIdentity) -> Response:
    """Client attributes: what the shadow calls reported."""
    shadows: Shadows = request.app.state.shadows
    await shadows.report(device, Wish(_object(await request.body())))
    return Response()


async def get_attributes(request: Request, device: DeviceIdentity) -> Response:
    """`clientKeys` and `sharedKeys`, with commas or repeated; all there are when neither is given."""
    shadows: Shadows = request.app.state.shadows
    shadow = await shadows.get(device.device_id)
    # Names of query parameters have been brought into one spelling when they arrive here.
    return _json(attributes(shadow, _keys(request, "client_keys"), _keys(request, "shared_keys")))


async def get_updates(request: Request, device: DeviceIdentity) -> Response:
    """Waits for a change of a shared attribute; 408 when there was none in `timeout` ms."""
    shadows: Shadows = request.app.state.shadows
    bus: Bus = request.app.state.bus
    patch: dict[str, Any] = {}
    changed = asyncio.Event()

    def on_changed(_subject: str, event: dict[str, Any]) -> None:
        if event["device_id"] == device.device_id and event["side"] == "desired":
            patch.update(event["patch"])
            changed.set()

    wait_s = _wait_s(request)
    unsubscribe = bus.subscribe(CHANGED, on_changed)
    waiting = asyncio.create_task(changed.wait())
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({waiting, leaving}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        unsubscribe()
        await end(waiting, leaving)
    if not patch:
        return _nothing(request)
    return _json(update(await shadows.get(device.device_id), patch))


async def get_call(request: Request, device: DeviceIdentity) -> Response:
    """Waits for a task; 408 when there was none in `timeout` ms."""
    tasks: Tasks = request.app.state.tasks
    poll = Poll(device.device_id, place_of(device), DEFAULT_CONTEXT, 1, LEASE_S, "http")
    leased = await tasks.poll(poll, _wait_s(request), lambda: _gone(request))
    if not leased:
        return _nothing(request)
    return _json({"id": leased[0].id, **rpc_of(leased[0].type, leased[0].payload)})


async def post_answer(request: Request, device: DeviceIdentity) -> Response:
    """What became of a task."""
    tasks: Tasks = request.app.state.tasks
    await tasks.complete(device, request.path_params["number"], completion(await request.body()))
    return Response()


async def post_call(request: Request, _device: DeviceIdentity) -> Response:
    """What a device asks the hub."""
    state = request.app.state
    asked = _object(await request.body())
    return _json(answer_call(asked.get("method"), state.clock.now_ms(), state.settings.telemetry_rate))


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"This is not JSON: {error}.") from None
    if type(document) is not dict:
        raise Invalid("Send a JSON object.")
    return document


def _keys(request: Request, name: str) -> list[str] | None:
    said = request.query_params.getlist(name)
    return [key.strip() for part in said for key in part.split(",")] or None


def _wait_s(request: Request) -> float:
    said = request.query_params.get("timeout", "")
    if said.isdecimal() and len(said) < 10:
        return min(int(said) / 1000, LONGEST_WAIT_S)
    return DEFAULT_WAIT_S


async def _gone(request: Request) -> None:
    """Return when the device has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(document: Any) -> Response:
    return Response(_encode(document), media_type="application/json")


def _nothing(request: Request) -> Response:
    detail = "There was nothing for the device in this time; ask again."
    return problem(HTTPStatus.REQUEST_TIMEOUT, "nothing_yet", detail, instance=instance_of(request))
