"""The queue on a real database of each kind, without a server around it, under a clock that only the test moves."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
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
from roost.devices.identities import DeviceIdentity
from roost.devices.models import Device
from roost.migrations.tables import metadata
from roost.places.models import Home
from roost.tasks import orders
from roost.tasks.leasing import Poll
from roost.tasks.models import Task
from roost.tasks.repository import list_steps
from roost.tasks.schemas import LeasedTask, TaskCreate
from roost.tasks.service import Tasks, place_of
from roost.tasks.states import Status
from roost.tasks.upkeep import Upkeep
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


async def make_queue(database_url: str, folder: Path, device_count: int = 2) -> tuple[Queue, Sequence[Any]]:
    """A queue, and what is to be stopped afterwards, in this order."""
    settings = Settings(database_url=database_url, data_dir=folder, _env_file=None)
    database, clock, bus = Database(settings), StoppedClock(), Bus()
    use_key(database, "k" * 43)
    # Straight from the models, which is quicker than migrating; that both agree is tested elsewhere.
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    now = clock.now()
    times = {"created_at": now, "updated_at": now}
    async with database.write() as session:
        organization = Organization(name="Ada", **times)
        session.add(organization)
        await session.flush()
        home = Home(organization_id=organization.id, name="Home", **times)
        session.add(home)
        await session.flush()
        rows = [
            Device(
                device_uid=f"dev-{number}", name=f"Device {number}", organization_id=organization.id, home_id=home.id,
                claimed_at=now, capabilities={}, **times,
            )
            for number in range(device_count)
        ]  # fmt: skip
        session.add_all(rows)
        await session.flush()
    outbox = Outbox(database, bus, clock)
    await outbox.start()
    owner = UserPrincipal(1, "ada@example.org", "ada", 1, (Grant("owner", organization.id),))
    devices = [DeviceIdentity(row.id, row.device_uid, organization.id, home.id) for row in rows]
    queue = Queue(
        database, clock, bus, Tasks(database, clock, bus), Upkeep(database, clock, keep_days=90), owner, devices
    )
    bus.subscribe("task.changed", lambda _subject, message: queue.changes.extend(message["tasks"]))
    return queue, (queue.tasks.stop, outbox.stop, bus.close, database.dispose)


@pytest.fixture
async def queue(empty_database_url: str, tmp_path: Path) -> AsyncIterator[Queue]:
    """A queue with two devices."""
    made, endings = await make_queue(empty_database_url, tmp_path)
    yield made
    for end in endings:
        await end()
