"""An organization with people of every role in it, on a running server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from roost.access.audit.models import AuditEntry
from roost.access.models import GrantRow
from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.core.outbox import OutboxRow
from roost.core.settings import Settings
from tests.conftest import UserClient, register_user, sign_in_admin
from tests.roost_server import RoostServer

T = TypeVar("T")

NOWHERE = 9_007_199_254_740_991


@dataclass
class Company:
    """An organization of `owner` with one home; `member` brings in others."""

    server: RoostServer
    owner: UserClient
    organization_id: int
    home_id: int
    _open: ExitStack

    def member(self, role: str, home_ids: tuple[int, ...] = ()) -> UserClient:
        """Somebody new with that role here; a technician is assigned to these homes."""
        somebody = self._open.enter_context(register_user(self.server))
        user_id = somebody.profile["id"]
        give(self.server, user_id, role, None if role in {"staff", "admin"} else self.organization_id)
        for home_id in home_ids:
            give(self.server, user_id, role, self.organization_id, home_id)
        return somebody

    def add_home(self, name: str = "Cabin", **fields: Any) -> int:
        """Another home of the organization."""
        return created(self.owner, "/homes", organization_id=self.organization_id, name=name, **fields)

    def add_room(self, name: str = "Kitchen", home_id: int | None = None) -> int:
        """A room, of the first home unless another is given."""
        return created(self.owner, f"/homes/{home_id or self.home_id}/rooms", name=name)

    def add_resident(self, full_name: str = "Ada Lovelace", **fields: Any) -> int:
        """A resident, of the first home unless another is given."""
        return created(self.owner, "/residents", **{"home_id": self.home_id, "full_name": full_name, **fields})


@pytest.fixture
def make_company(server: RoostServer) -> Iterator[Callable[[], Company]]:
    """Makes another organization, which knows nothing of the others."""
    with ExitStack() as people:

        def make() -> Company:
            owner = people.enter_context(register_user(server))
            home = owner.get("/homes").json()[0]
            return Company(server, owner, home["organization_id"], home["id"], people)

        yield make


@pytest.fixture
def company(make_company: Callable[[], Company]) -> Company:
    """An organization."""
    return make_company()


@pytest.fixture
def administrator(server: RoostServer) -> Iterator[UserClient]:
    """The administrator of the hub, signed in."""
    with sign_in_admin(server) as admin:
        yield admin


def give(server: RoostServer, user_id: int, role: str, organization_id: int | None, home_id: int | None = None) -> None:
    """A grant, as if another process had given it."""

    async def insert(database: Database) -> None:
        async with database.write() as session:
            now = SystemClock().now()
            session.add(
                GrantRow(user_id=user_id, role=role, organization_id=organization_id, home_id=home_id, created_at=now)
            )

    _on_database(server, insert)


def audited(server: RoostServer, organization_id: int, action: str) -> list[AuditEntry]:
    """What the audit log says of that action in the organization."""

    async def read(database: Database) -> list[AuditEntry]:
        query = select(AuditEntry).where(AuditEntry.organization_id == organization_id, AuditEntry.action == action)
        async with database.read() as session:
            return list(await session.scalars(query.order_by(AuditEntry.id)))

    return _on_database(server, read)


def announced(server: RoostServer, subject: str) -> list[dict[str, Any]]:
    """What every process was told under that subject."""

    async def read(database: Database) -> list[dict[str, Any]]:
        query = select(OutboxRow.message).where(OutboxRow.subject == subject).order_by(OutboxRow.id)
        async with database.read() as session:
            return list(await session.scalars(query))

    return _on_database(server, read)


def created(client: UserClient, path: str, **body: Any) -> int:
    """The id of what was made there."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def ids(client: UserClient, path: str) -> list[int]:
    """The ids of a list."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return [entry["id"] for entry in answer.json()]


def _on_database(server: RoostServer, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url, _env_file=None))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())
