"""Who forgot a password gets a link by mail. Neither the answer nor its time says whether there is an account."""

import asyncio
import logging
from collections.abc import Callable

from roost.access.accounts import find_user_by_identifier
from roost.access.audit.log import ANONYMOUS, Deed, record
from roost.access.credentials.password_resets import LIFETIME, PasswordResets, ResetLink
from roost.access.models import User
from roost.access.names import unique_key
from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError, TooMany
from roost.core.mail import Mailer
from roost.core.rates import RateLimiter

_log = logging.getLogger(__name__)

_AT_ONCE = 20
SUBJECT = "Set a new password"
_TEXT = """Hello {name},

somebody (you, we hope) asked for a new password for your Roost account. Open this link to choose one:

{link}

It is good once, for {minutes} minutes. If it was not you, ignore this: nothing has changed.
"""


class ForgottenPasswords:
    """Takes such wishes, and fulfils them beside the answer."""

    def __init__(self, database: Database, resets: PasswordResets, mailer: Mailer, clock: Clock) -> None:
        self._database = database
        self._resets = resets
        self._mailer = mailer
        self._addresses = RateLimiter(clock, per_minute=4, burst=20)
        self._accounts = RateLimiter(clock, per_minute=0.2, burst=3)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """The limits by name, for whoever shares them with other processes."""
        return {"forgotten.address": self._addresses, "forgotten.account": self._accounts}

    async def stop(self) -> None:
        """Wait for the mails that are on their way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def ask(self, email: str, address: str, link_to: Callable[[str], str]) -> None:
        """Mail a link, if there is such an account and a mail server. Raises TooMany for the address that asks."""
        self._addresses.check(address, "Too many wishes for a new password came from your address; wait a moment.")
        if not self._mailer.configured or self._accounts.take(unique_key(email)) > 0:
            return
        if len(self._tasks) >= _AT_ONCE:
            raise TooMany("Too many people ask for a new password; try again in a minute.", retry_after_s=60)
        task = asyncio.create_task(self._mail(email, link_to), name="forgotten-password")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _mail(self, email: str, link_to: Callable[[str], str]) -> None:
        try:
            issued = await self._issue(email)
        except (*AWAY, RoostError) as error:
            _log.warning("A reset link could not be made: %s", error)
            return
        if issued is not None:
            user, link = issued
            await self._mailer.send(user.email, SUBJECT, reset_mail(user, link_to(link.token)))

    async def _issue(self, email: str) -> tuple[User, ResetLink] | None:
        async with self._database.write() as session:
            user = await find_user_by_identifier(session, email)
            if user is None or not user.is_active:
                return None
            deed = Deed("user.password_forgotten", ANONYMOUS, object_kind="user", object_id=user.id)
            record(session, deed)
            return user, await self._resets.issue(session, user, mailed=True)


def reset_mail(user: User, link: str) -> str:
    """What is written to somebody who gets a reset link."""
    return _TEXT.format(name=user.full_name or user.username, link=link, minutes=LIFETIME.seconds // 60)
