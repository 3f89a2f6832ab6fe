"""The queue on a real database of each kind, without a server around it, under a clock that only the test moves."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import use_key
from roost.access.models import Organization
from roost.access.principals import Grant, UserPrincipal
from roost.core.bus import Bus
from roost.core.database import Database
from roost.core.outbox import Outbox
from roost.core.settings import Settings
from roost.devices.identity import DeviceIdentity
from roost.devices.models import Device
from roost.places.models import Home
from roost.tasks import orders
from roost.tasks.leasing import Poll
from roost.tasks.models import Task
from roost.tasks.repository import list_steps
from roost.tasks.schemas import LeasedTask, TaskCreate
from roost.tasks.service import Tasks, place_of
from roost.tasks.states import Status
from roost.tasks.upkeep import Upkeep
from tests.conftest import DatabaseKind
from tests.migrated_databases import MigratedDatabases
from tests.stopped_clock import StoppedClock


@dataclass
class Queue:
    """What `app.py` puts together, as far as tasks need it, with somebody who orders and some devices."""

    database: Database
    clock: StoppedClock
    bus: Bus
    tasks: Tasks
    upkeep: Upkeep
    owner: UserPrincipal
    devices: list[DeviceIdentity]
    changes: list[dict[str, Any]] = field(default_factory=list)

    async def order(self, device: DeviceIdentity, task_type: str = "blink", **wanted: Any) -> Task:
        """A task of the owner's."""
        async with self.database.write() as session:
            return (await self._order(session, device, TaskCreate(type=task_type, **wanted))).task

    async def _order(self, session: AsyncSession, device: DeviceIdentity, wanted: TaskCreate) -> orders.Ordered:
        return await orders.order(session, self.owner, device.device_id, wanted, self.clock.now())

    async def cancel(self, task: Task) -> None:
        async with self.database.write() as session:
            await orders.cancel(session, self.owner, task.device_id, task.id, self.clock.now())

    async def poll(
        self, device: DeviceIdentity, limit: int = 1, context_key: str = "default", lease_s: int = 60, wait_s: float = 0
    ) -> list[LeasedTask]:
        """What the device gets."""
        poll = Poll(device.device_id, place_of(device), context_key, limit, lease_s, "http")
        return await self.tasks.poll(poll, wait_s)

    async def row(self, task_id: int) -> Task:
        """The task as the database has it."""
        async with self.database.read() as session:
            task = await session.get(Task, task_id)
        assert task is not None
        return task

    async def steps(self, task_id: int) -> list[tuple[Status, str]]:
        """What happened to it."""
        async with self.database.read() as session:
            return [(step.status, step.detail) for step in await list_steps(session, task_id)]


@pytest.fixture(scope="session")
def filled_urls(tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabases) -> Callable[[DatabaseKind], str]:
    """A database of each kind with all tables, for all tests: each makes devices of its own in it."""

    @cache
    def url_of(kind: DatabaseKind) -> str:
        if kind == "postgresql":
            return migrated.postgresql()
        return migrated.sqlite(tmp_path_factory.mktemp("tasks") / "tasks.db")

    return url_of


@asynccontextmanager
async def opened_queue(database_url: str, folder: Path, device_count: int = 2) -> AsyncIterator[Queue]:
    """A queue on this database, with devices of its own."""
    settings = Settings(database_url=database_url, data_dir=folder, _env_file=None)
    database, clock, bus = Database(settings), StoppedClock(), Bus()
    use_key(database, "k" * 43)
    owner, devices = await add_devices(database, clock, device_count)
    outbox = Outbox(database, bus, clock)
    await outbox.start()
    tasks, upkeep = Tasks(database, clock, bus), Upkeep(database, clock, keep_days=90)
    queue = Queue(database, clock, bus, tasks, upkeep, owner, devices)
    own = {device.device_id for device in devices}

    def note(_subject: str, message: dict[str, Any]) -> None:
        queue.changes.extend(change for change in message["tasks"] if change["device_id"] in own)

    bus.subscribe("task.changed", note)
    yield queue
    await tasks.stop()
    await outbox.stop()
    await bus.close()
    await database.dispose()


async def add_devices(
    database: Database, clock: StoppedClock, count: int
) -> tuple[UserPrincipal, list[DeviceIdentity]]:
    """So many devices in a new organization, and its owner."""
    now, name = clock.now(), uuid.uuid4().hex
    times = {"created_at": now, "updated_at": now}
    async with database.write() as session:
        organization = Organization(name=name, **times)
        session.add(organization)
        await session.flush()
        home = Home(organization_id=organization.id, name="Home", **times)
        session.add(home)
        await session.flush()
        rows = [
            Device(
                device_uid=f"{name}-{number}", name=f"Device {number}", organization_id=organization.id,
                home_id=home.id, claimed_at=now, capabilities={}, **times,
            )
            for number in range(count)
        ]  # fmt: skip
        session.add_all(rows)
    owner = UserPrincipal(1, "ada@example.org", "ada", 1, (Grant("owner", organization.id),))
    return owner, [DeviceIdentity(row.id, row.device_uid, organization.id, home.id) for row in rows]


@pytest.fixture
async def queue(
    filled_urls: Callable[[DatabaseKind], str], database_kind: DatabaseKind, tmp_path: Path
) -> AsyncIterator[Queue]:
    """A queue with two devices."""
    url = await asyncio.to_thread(filled_urls, database_kind)
    async with opened_queue(url, tmp_path) as made:
        yield made
