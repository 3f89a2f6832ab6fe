"""Telemetry in over HTTP: plain routes without pydantic, because every device comes through here all the time."""

from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from roost.core.errors import NotFound, Unauthorized
from roost.core.problems import instance_of, problem
from roost.devices.dependencies import identify_sender
from roost.devices.identity import DeviceIdentity
from roost.telemetry.ingest import Accepted, Ingest
from roost.telemetry.refusals import Refusal

_encode = msgspec.json.Encoder().encode


def ingest_routes(prefix: str) -> list[Route]:
    return [
        Route(f"{prefix}/telemetry", post_telemetry, methods=["POST"]),
        Route(f"{prefix}/events", post_event, methods=["POST"]),
        Route(f"{prefix}/devices/{{device_id}}/readings", post_readings, methods=["POST"]),
    ]


async def post_telemetry(request: Request) -> Response:
    return await _accept(request, await _sender(request), "telemetry")


async def post_event(request: Request) -> Response:
    return await _accept(request, await _sender(request), "events")


async def post_readings(request: Request) -> Response:
    device = await _sender(request)
    own_names = (str(device.device_id), device.device_uid, "me")
    if request.path_params["device_id"] not in own_names:
        raise NotFound("A device sends readings under its own id only.", code="device_not_found")
    return await _accept(request, device, "readings")


async def _sender(request: Request) -> DeviceIdentity:
    token = _token_of(request.scope)
    if token is None:
        raise Unauthorized("This needs the device's token, as X-Device-Token or `Authorization: Bearer rdt_…`.")
    return await identify_sender(request.scope, token)


def _token_of(scope: Scope) -> str | None:
    """The token from the headers as they came: once a message, an object around them is a cost of its own."""
    bearer = None
    for name, value in scope["headers"]:
        if name == b"x-device-token" and value:
            token: str = value.decode("latin-1")
            return token
        if name == b"authorization" and bearer is None:
            bearer = value.decode("latin-1")
    scheme, _, given = (bearer or "").partition(" ")
    return given if given and scheme.lower() == "bearer" else None


async def _accept(request: Request, device: DeviceIdentity, kind: str) -> Response:
    ingest: Ingest = request.app.state.ingest
    try:
        accepted = await ingest.accept(device, kind, await request.body())
    except Refusal as refusal:
        headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else None
        return problem(refusal.status, refusal.code, refusal.detail, instance=instance_of(request), headers=headers)
    if ingest.queues:
        queued = _encode({"status": "queued", "count": len(accepted.messages)})
        return Response(queued, HTTPStatus.ACCEPTED, media_type="application/json")
    return Response(_answer(accepted), HTTPStatus.CREATED, media_type="application/json")


def _answer(accepted: Accepted) -> bytes:
    ids = [message.id for message in accepted.messages if message.id]
    return _encode({"status": "stored", "count": len(ids), "resent": len(accepted.messages) - len(ids), "ids": ids})
