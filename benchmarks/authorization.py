"""What it costs to ask who may: on the way of a message in, and on a list of many devices.

In this process and not over a socket: the differences are smaller than what a socket varies by. The two ways take
turns, and of each the fastest quarter counts: what is slower was held up by something else.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text
from starlette.requests import Request

from benchmarks.server import Credential, write_fleet
from roost.access.models import User
from roost.access.principals import Grant, UserPrincipal
from roost.access.sessions import Client
from roost.app import create_app
from roost.core.clock import SystemClock
from roost.core.settings import Settings
from roost.devices.identity import DeviceIdentity
from roost.devices.repository import DeviceFilter, list_devices
from roost.places.registration import Registered, create_home, register
from roost.telemetry import ingest_endpoints
from tests.postgres_cluster import PostgresCluster

DEVICES = 10_000
HOMES = 50
SENDERS = 64
MESSAGES_A_BLOCK = 640
# Short blocks in turns: what slows the machine down for a while slows both ways down.
BLOCKS_OF_MESSAGES = 15
LISTS_A_BLOCK = 20
_BODY = b'{"temperature": 21.5, "humidity": 40, "sequence": 1000001}'
_SETTINGS: dict[str, Any] = {"mqtt_port": 0, "host_device": False, "telemetry_rate": 0, "_env_file": None}


def measure(blocks: int, database: str) -> dict[str, Any]:
    """Figures on `sqlite` or `postgresql`, from so many pairs of blocks."""
    if database == "sqlite":
        with TemporaryDirectory(prefix="roost-bench-") as folder:
            return asyncio.run(_measure(Settings(data_dir=Path(folder), **_SETTINGS), blocks))
    cluster = PostgresCluster()
    try:
        with TemporaryDirectory(prefix="roost-bench-") as folder:
            url = cluster.create_database()
            return asyncio.run(_measure(Settings(data_dir=Path(folder), database_url=url, **_SETTINGS), blocks))
    finally:
        cluster.remove()


async def _measure(settings: Settings, blocks: int) -> dict[str, Any]:
    app = create_app(settings, announce=lambda _: None)
    async with app.router.lifespan_context(app):
        mine, fleet, home_ids = await _fill(app)
        return {
            **await _measure_ingest(app, fleet[:SENDERS], mine, blocks),
            **await _measure_lists(app, mine, home_ids, blocks),
        }


async def _fill(app: FastAPI) -> tuple[Registered, list[Credential], list[int]]:
    """Two organizations with 10,000 devices each, spread over 50 homes; the second one's devices are returned."""
    database, clock = app.state.database, SystemClock()
    async with database.write() as session:
        owners = [
            await register(session, clock, email=f"{name}@example.org", password_hash=None)
            for name in ("other", "mine")
        ]
        homes: list[list[int]] = []
        for owner in owners:
            made = [
                await create_home(session, clock, organization_id=owner.organization.id, name=f"Home {number}")
                for number in range(HOMES)
            ]
            homes.append([home.id for home in made])
    fleets = [
        await write_fleet(database, owner.organization.id, home_ids, DEVICES, f"fleet-{owner.organization.id}")
        for owner, home_ids in zip(owners, homes, strict=True)
    ]
    if database.dialect == "postgresql":
        # As the server does by itself a minute after so many rows came in.
        async with database.write() as session:
            await session.execute(text("ANALYZE"))
    # The second one's: whoever goes through the table from its beginning has to pass all of the others.
    return owners[1], fleets[1], homes[1]


# The way of a message in: with the token looked at for every request, and with the sender known beforehand.


async def _measure_ingest(app: FastAPI, senders: list[Credential], mine: Registered, blocks: int) -> dict[str, Any]:
    identities = {
        sender.token: DeviceIdentity(sender.device_id, "known", mine.organization.id, mine.home.id)
        for sender in senders
    }

    async def known(request: Any) -> DeviceIdentity:
        return identities[request.scope["bench.token"]]

    asked = ingest_endpoints._sender
    costs: dict[bool, list[float]] = {True: [], False: []}
    await _send_block(app, senders)
    for number in range(blocks * BLOCKS_OF_MESSAGES):
        # Who goes first changes, so that neither always finds the caches warm.
        for authorized in (True, False) if number % 2 else (False, True):
            ingest_endpoints._sender = asked if authorized else known
            try:
                costs[authorized].append(await _send_block(app, senders))
            finally:
                ingest_endpoints._sender = asked
    with_it, without = _undisturbed(costs[True]), _undisturbed(costs[False])
    return {
        "ingest_us_per_message": round(with_it * 1e6, 1),
        "ingest_us_without": round(without * 1e6, 1),
        "ingest_added_percent": round(100 * (with_it / without - 1), 1),
        "asking_us": await _measure_asking(app, senders, blocks),
    }


async def _measure_asking(app: FastAPI, senders: list[Credential], blocks: int) -> float:
    """The asking alone, in CPU microseconds: less than in the midst of everything else, but hardly disturbed."""
    times = []
    for _ in range(10 * blocks):
        requests = [
            Request({"type": "http", "app": app, "headers": _headers_of(sender), "client": ("127.0.0.1", 1)})
            for sender in senders
        ]
        started = time.process_time()
        for request in requests:
            await ingest_endpoints._sender(request)
        times.append((time.process_time() - started) / len(requests))
    return round(_undisturbed(times) * 1e6, 1)


def _headers_of(sender: Credential) -> list[tuple[bytes, bytes]]:
    return [(b"x-device-token", sender.token.encode()), (b"content-length", str(len(_BODY)).encode())]


async def _send_block(app: FastAPI, senders: list[Credential]) -> float:
    """CPU seconds of this process for each message."""
    each = MESSAGES_A_BLOCK // len(senders)
    started = time.process_time()
    await asyncio.gather(*(_send(app, sender, each) for sender in senders))
    return (time.process_time() - started) / (each * len(senders))


async def _send(app: FastAPI, sender: Credential, count: int) -> None:
    headers = _headers_of(sender)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 201) == 201, message

    for _ in range(count):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/api/v1/telemetry", "raw_path": b"/api/v1/telemetry", "query_string": b"", "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "bench.token": sender.token,
        }  # fmt: skip
        await app(scope, receive, send)


# A page of a list of 10,000: by somebody who reaches everything, and by people who do not.


async def _measure_lists(app: FastAPI, mine: Registered, home_ids: list[int], blocks: int) -> dict[str, Any]:
    organization_id = mine.organization.id
    nobody = UserPrincipal(0, "", "", 1, ())
    everywhere = replace(nobody, grants=(Grant("admin", None),))
    owner = replace(nobody, grants=(Grant("owner", organization_id),))
    technician = replace(
        nobody, grants=tuple(Grant("technician", organization_id, home_id) for home_id in (None, *home_ids))
    )
    figures: dict[str, Any] = {}
    for name, principal in (("owner", owner), ("technician_of_50_homes", technician)):
        for limit in (50, 500):
            added_ms, whole_ms = await _compare(app, principal, everywhere, limit, blocks)
            figures[f"list_{limit}_{name}_added_ms"] = added_ms
            figures[f"list_{limit}_{name}_ms"] = whole_ms
    figures["who_asks_ms"] = await _measure_principal(app, mine.user, blocks)
    return figures


async def _compare(
    app: FastAPI, asking: UserPrincipal, unbounded: UserPrincipal, limit: int, blocks: int
) -> tuple[float, float]:
    """Milliseconds that the restriction adds to a page, and those of the whole page."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(blocks * LISTS_A_BLOCK):
        for bounded in (True, False) if number % 2 else (False, True):
            principal = asking if bounded else unbounded
            times[bounded].append(await _time_ms(partial(_list, app, principal, limit)))
    whole = _undisturbed(times[True])
    return round(whole - _undisturbed(times[False]), 3), round(whole, 2)


async def _list(app: FastAPI, principal: UserPrincipal, limit: int) -> None:
    async with app.state.database.read() as session:
        found = await list_devices(session, principal, DeviceFilter(), after_id=0, limit=limit)
        assert len(found) == limit


async def _measure_principal(app: FastAPI, user: User, blocks: int) -> float:
    """From an access token to a principal with its grants."""
    async with app.state.database.write() as session:
        signed_in = await app.state.sessions.open(session, user, "password", Client("127.0.0.1", None))
    times = [
        await _time_ms(lambda: app.state.authentication.authenticate(signed_in.access_token))
        for _ in range(blocks * LISTS_A_BLOCK)
    ]
    return round(_undisturbed(times), 3)


def _undisturbed(values: list[float]) -> float:
    return median(sorted(values)[: max(1, len(values) // 4)])


async def _time_ms(work: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1000
