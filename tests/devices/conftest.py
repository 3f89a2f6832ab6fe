"""The device room on a real database of each kind, without a server around it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from roost.access.audit.log import use_key
from roost.access.models import GrantRow, Organization, User
from roost.access.principals import Grant, UserPrincipal
from roost.core.bus import Bus
from roost.core.database import Database
from roost.core.outbox import Outbox
from roost.core.settings import Settings
from roost.devices import registry
from roost.devices.identities import DeviceIdentities
from roost.devices.logs import DeviceLogs
from roost.devices.models import Device
from roost.devices.placement import Place
from roost.devices.presence import Presence
from roost.devices.repository import find_own
from roost.places.models import Home


class SetClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def now_ms(self) -> int:
        return int(self._now.timestamp() * 1000)

    def monotonic(self) -> float:
        return self._now.timestamp()

    def go_on(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += timedelta(seconds=seconds)


@dataclass
class Owner:
    """A user with an organization and one home of their own."""

    principal: UserPrincipal
    organization_id: int
    home_id: int


@dataclass
class Hub:
    """What `app.py` puts together, as far as devices need it."""

    settings: Settings
    database: Database
    clock: SetClock
    bus: Bus
    identities: DeviceIdentities
    presence: Presence
    logs: DeviceLogs
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def add_owner(self, name: str) -> Owner:
        """A new user with organization, grant and home."""
        now = self.clock.now()
        times = {"created_at": now, "updated_at": now}
        async with self.database.write() as session:
            email = f"{name}@example.org"
            user = User(
                username=name,
                username_key=name,
                email=email,
                email_key=email,
                password_hash="-",
                is_active=True,
                **times,
            )
            organization = Organization(name=name, **times)
            session.add_all([user, organization])
            await session.flush()
            home = Home(organization_id=organization.id, name="Home", **times)
            grant = GrantRow(user_id=user.id, role="owner", organization_id=organization.id, created_at=now)
            session.add_all([home, grant])
            await session.flush()
            principal = UserPrincipal(user.id, email, name, 1, (Grant("owner", organization.id),))
            return Owner(principal, organization.id, home.id)

    async def add_device(self, owner: Owner, uid: str) -> tuple[int, str]:
        """A claimed device; returns its id and token."""
        async with self.database.write() as session:
            place = Place(owner.organization_id, owner.home_id, None)
            device, token = await registry.register(session, self.clock, place, name=uid, device_uid=uid)
            return device.id, token

    async def row(self, device_id: int) -> Device:
        """The device as the database has it."""
        async with self.database.read() as session:
            device = await find_own(session, device_id)
        assert device is not None
        return device

    def published(self, subject: str) -> list[dict[str, Any]]:
        """The messages of every event with this subject so far."""
        return [message for name, message in self.events if name == subject]


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub with a clock that only the test moves."""
    settings = Settings(database_url=database_url, data_dir=tmp_path, _env_file=None)
    database, clock, bus = Database(settings), SetClock(), Bus()
    use_key(database, "k" * 43)
    outbox = Outbox(database, bus, clock)
    await outbox.start()
    made = Hub(
        settings,
        database,
        clock,
        bus,
        DeviceIdentities(database, clock, bus),
        Presence(database, clock, bus, offline_after_s=90),
        DeviceLogs(database, clock, bus, lines_a_minute=5),
    )
    bus.subscribe("device.", lambda subject, message: made.events.append((subject, message)))
    await made.presence.start()
    await made.logs.start()
    yield made
    await made.logs.stop()
    await made.presence.stop()
    await made.identities.stop()
    await outbox.stop()
    await bus.close()
    await database.dispose()


@pytest.fixture
async def owner(hub: Hub) -> Owner:
    """Somebody to own devices."""
    return await hub.add_owner("ada")


@pytest.fixture
def statements(hub: Hub) -> Iterator[list[str]]:
    """The statements that reach the database; those of transactions and of the outbox aside."""
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")) and "outbox" not in statement:
            seen.append(statement)

    engine = hub.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
