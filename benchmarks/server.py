"""The server under measurement: a real `roost run` on a core of its own, with many devices in its database."""

import asyncio
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import psutil
from sqlalchemy import insert

import roost.migrations.tables  # noqa: F401 - devices refer to the tables of other rooms
from roost.core.database import Database
from roost.core.ids import new_token, token_digest
from roost.core.settings import Settings
from roost.devices.identities import TOKEN_PREFIX
from roost.devices.models import Device, DeviceToken
from tests.roost_server import RoostServer

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Credential:
    """A device that may connect: MQTT user name (its id) and token."""

    device_id: int
    token: str


@dataclass(frozen=True)
class Owner:
    """The user whose devices send."""

    access_token: str
    organization_id: int
    home_id: int


# Without the tests' quick password hashes, and without warnings.
AS_USERS_RUN_IT = {"PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}


@contextmanager
def measured_server(**environment: str) -> Iterator[RoostServer]:
    """A fresh server on its own core, SQLite, no rate limit; it and its data are gone afterwards."""
    with TemporaryDirectory(prefix="roost-bench-") as folder:
        server = RoostServer(Path(folder), environment={**AS_USERS_RUN_IT, **environment})
        start_pinned(server)
        try:
            yield server
        finally:
            server.stop()
        server.assert_no_complaints()


def start_pinned(server: RoostServer, cores: Sequence[int] = (SERVER_CORE,)) -> float:
    """Start the server on its core, or these; seconds until its first answer."""
    started = time.perf_counter()
    server.launch()
    os.sched_setaffinity(server.pid, cores)
    server.wait_for_answer()
    return time.perf_counter() - started


def cpu_s(server: RoostServer) -> float:
    """CPU time that the server has used so far, all of its processes."""
    process = psutil.Process(server.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


def rss_mib(server: RoostServer) -> float:
    """Resident memory of the server, all of its processes."""
    process = psutil.Process(server.pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 2**20


def register_owner(server: RoostServer) -> Owner:
    """Register a user over the API."""
    email, password = f"{uuid.uuid4().hex[:12]}@example.org", "Test1234!"
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False) as client:
        client.post("/auth/register", json={"email": email, "password": password}).raise_for_status()
        session = client.post("/auth/login", json={"email": email, "password": password}).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        device = client.post("/devices", json={"name": "first"}).raise_for_status().json()
    return Owner(session["access_token"], device["organization_id"], device["home_id"])


def register_fleet(server: RoostServer, owner: Owner, size: int) -> list[Credential]:
    """Write `size` devices into the server's database at once: over the API each would cost a commit."""
    return asyncio.run(_register_fleet(server, owner, size))


async def _register_fleet(server: RoostServer, owner: Owner, size: int) -> list[Credential]:
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url))
    try:
        return await write_fleet(database, owner.organization_id, [owner.home_id], size, "bench")
    finally:
        await database.dispose()


async def write_fleet(
    database: Database, organization_id: int, home_ids: Sequence[int], size: int, prefix: str
) -> list[Credential]:
    """Devices of the organization, spread over its homes; uids begin with `prefix`."""
    now = datetime.now(UTC)
    credentials: list[Credential] = []
    for first in range(0, size, _ROWS_AT_ONCE):
        numbers = range(first, min(size, first + _ROWS_AT_ONCE))
        common = {"organization_id": organization_id, "status": "offline", "capabilities": {}}
        times = {"claimed_at": now, "created_at": now, "updated_at": now}
        rows = [
            {
                "device_uid": f"{prefix}-{number:05d}",
                "name": f"{prefix}-{number:05d}",
                "home_id": home_ids[number % len(home_ids)],
                **common,
                **times,
            }
            for number in numbers
        ]
        async with database.write() as session:
            ids = (await session.scalars(insert(Device).returning(Device.id, sort_by_parameter_order=True), rows)).all()
            made = [Credential(device_id, new_token(TOKEN_PREFIX)) for device_id in ids]
            tokens = [
                {"device_id": each.device_id, "digest": token_digest(each.token), "replaces": False, "created_at": now}
                for each in made
            ]
            await session.execute(insert(DeviceToken), tokens)
        credentials += made
    return credentials
