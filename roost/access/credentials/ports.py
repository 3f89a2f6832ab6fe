"""What this room needs of rooms above it."""

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import User
from roost.core.clock import Clock


class Newcomer(Protocol):
    """Somebody who was just registered."""

    @property
    def user(self) -> User:
        """The new user."""
        ...


class Register(Protocol):
    """Makes somebody new, with a place of their own, as registering does."""

    async def __call__(
        self, session: AsyncSession, clock: Clock, *, email: str, password_hash: str | None, full_name: str | None
    ) -> Newcomer:
        """Raises Conflict when the e-mail address is taken."""
        ...
