"""What is to be remembered although no transaction goes with it: refusals above all, and uses of credentials.

`note` never waits. One task writes within a second; floods are folded (`folding.py`), the queue is bounded, and what
the database could not take at all is counted and told.
"""

import asyncio
import logging
from collections import deque
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.accounts import find_user_by_identifier
from roost.access.audit.addresses import API_TOKENS, USERS, CredentialAddresses, Sighting
from roost.access.audit.folding import Folding
from roost.access.audit.log import SYSTEM, Actor, Deed, only_organization, record
from roost.access.authentication import grants_of
from roost.access.principals import UserPrincipal
from roost.core import logging as logs
from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError

_log = logging.getLogger(__name__)

SIGN_IN_REFUSED = "user.sign_in_refused"
# So long what comes together is gathered into one transaction.
_GATHER_S = 0.25
_RETRY_S = 1.0
_BATCH = 500
_MOST_WAITING = 2_000


class AuditJournal:
    """Notes from everywhere in the process, written by one task between `start` and `stop`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.addresses = CredentialAddresses(clock)
        self._database = database
        self._clock = clock
        self._folding = Folding(clock)
        self._waiting: deque[Deed] = deque()
        self._lost = 0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def note(self, deed: Deed) -> None:
        """Remember this; address, request id and time are those of now unless given."""
        noted = replace(
            deed,
            at=deed.at or self._clock.now(),
            address=deed.address or logs.client_address.get(),
            request_id=deed.request_id or logs.request_id.get(),
        )
        written = self._folding.take(noted)
        if written is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(written)
        self._wake_soon()

    def used(self, sighting: Sighting) -> None:
        """A credential was used from an address that `addresses` does not know."""
        self.addresses.note(replace(sighting, request_id=sighting.request_id or logs.request_id.get()))
        self._wake_soon()

    def used_by(self, principal: UserPrincipal, address: str) -> None:
        """A user's token was used from there: a session's counts as the user's, an API token for itself."""
        token_id = principal.api_token_id
        kind, credential_id = (USERS, principal.user_id) if token_id is None else (API_TOKENS, token_id)
        if not self.addresses.knows(kind, credential_id, address):
            only = only_organization(principal.grants)
            self.used(Sighting(kind, credential_id, address, Actor.of(principal), only))

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="audit-journal")

    async def stop(self) -> None:
        """Write what waits, then end; never in the middle of a transaction."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.extend(self._folding.due(every=True))
        await self._flush_or_say()

    async def flush(self) -> None:
        """Write what waits now. Errors of the database pass through, and what was not written waits on."""
        async with self._turn:
            self._waiting.extend(self._folding.due())
            while self._waiting or self._lost:
                batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
                await self._write(batch)
                for _ in batch:
                    self._waiting.popleft()
            if self.addresses.waiting:
                await self.addresses.store(self._database)

    def _wake_soon(self) -> None:
        if self._timer is None and not self._stopping:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_S, self._wake_now)

    def _wake_now(self) -> None:
        self._timer = None
        self._wake.set()

    async def _run(self) -> None:
        wait_s: float | None = None
        while not self._stopping:
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if not self._stopping:
                written = await self._flush_or_say()
                wait_s = self._folding.next_due_s() if written else _RETRY_S

    async def _flush_or_say(self) -> bool:
        try:
            await self.flush()
        except (*AWAY, RoostError) as error:
            _log.warning("The audit log cannot be written at the moment: %s", error)
            return False
        return True

    async def _write(self, batch: list[Deed]) -> None:
        lost = self._lost
        async with self._database.write() as session:
            for deed in batch:
                record(session, await _with_account(session, deed))
            if lost:
                record(session, Deed("audit.entries_lost", SYSTEM, "failed", details={"count": lost}))
        self._lost -= lost


async def _with_account(session: AsyncSession, deed: Deed) -> Deed:
    """Whose account was tried. A name that nobody has is left out: people type passwords into the wrong field."""
    if deed.action != SIGN_IN_REFUSED or deed.object_id is not None or deed.object_name is None:
        return deed
    user = await find_user_by_identifier(session, deed.object_name)
    if user is None:
        return replace(deed, object_name=None, details={**deed.details, "known_account": False})
    only = only_organization(await grants_of(session, user.id))
    return replace(deed, object_id=user.id, object_name=user.email, organization_id=only)
