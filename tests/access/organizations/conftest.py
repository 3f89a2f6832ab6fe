"""An organization with people in it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.colleagues import join, own_organization
from tests.conftest import UserClient, register_user
from tests.roost_server import RoostServer

NOWHERE = 9_007_199_254_740_991


@dataclass
class Company:
    """The organization that `owner` got by registering; `member` brings in others, who belong to it alone."""

    server: RoostServer
    owner: UserClient
    id: int
    home_id: int
    _open: ExitStack

    @property
    def path(self) -> str:
        return f"/organizations/{self.id}"

    def member(self, role: str, home_ids: tuple[int, ...] = ()) -> UserClient:
        """Somebody new with that role here."""
        return self._open.enter_context(join(self.server, self.owner, self.id, role, home_ids))

    def member_path(self, somebody: UserClient) -> str:
        """Where that membership is."""
        return f"{self.path}/members/{somebody.profile['id']}"


MakeCompany = Callable[[], Company]


@pytest.fixture
def make_company(server: RoostServer) -> Iterator[MakeCompany]:
    """Makes another organization, which knows nothing of the others."""
    with ExitStack() as people:

        def make() -> Company:
            owner = people.enter_context(register_user(server))
            return Company(server, owner, *own_organization(owner), people)

        yield make


@pytest.fixture
def company(make_company: MakeCompany) -> Company:
    """An organization."""
    return make_company()
