"""Organizations with people in them, made by invitations as their owners would."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

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


def companies(server: RoostServer) -> Iterator[MakeCompany]:
    """For a fixture: makes organizations that know nothing of each other; their people are closed at the end."""
    with ExitStack() as people:

        def make() -> Company:
            owner = people.enter_context(register_user(server))
            return Company(server, owner, *own_organization(owner), people)

        yield make
