"""Where credentials are used from: a use from an address that a credential was never used from is told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.audit.models import CredentialAddress
from roost.core.clock import Clock
from roost.core.database import Database

USERS = "user"
API_TOKENS = "api_token"
DEVICES = "device"

# Beyond this one credential's addresses are neither kept nor told: whoever has so many has a whole network.
_MOST_ADDRESSES = 500
_KEPT_IN_MEMORY = 50_000
_BATCH = 500
_ACTIONS = {
    USERS: "user.active_from_new_address",
    API_TOKENS: "api_token.used_from_new_address",
    DEVICES: "device.used_from_new_address",
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A use of a credential. `kind` is user, api_token or device; a device's tokens count as one."""

    kind: str
    credential_id: int
    address: str
    actor: Actor
    organization_id: int | None = None
    request_id: str | None = None


class CredentialAddresses:
    """Asked with every request, so what is known is known in memory; the rest waits for `store`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: set[tuple[str, int, str]] = set()
        self._waiting: dict[tuple[str, int, str], Sighting] = {}

    def knows(self, kind: str, credential_id: int, address: str) -> bool:
        """Whether there is nothing to do about this use."""
        return (kind, credential_id, address) in self._known

    def note(self, sighting: Sighting) -> None:
        """Remember a use that is not known; `store` finds out whether it is new."""
        if len(self._known) >= _KEPT_IN_MEMORY:
            self._known.clear()
        self._known.add((sighting.kind, sighting.credential_id, sighting.address))
        network = network_of(sighting.address)
        if len(self._waiting) < _KEPT_IN_MEMORY:
            self._waiting.setdefault((sighting.kind, sighting.credential_id, network), sighting)

    @property
    def waiting(self) -> bool:
        """Whether there is something to store."""
        return bool(self._waiting)

    async def store(self, database: Database) -> None:
        """Look up what waits, keep what is new, and tell of it; a credential's first address of all is not told.

        Errors of the database pass through; what waited then waits on.
        """
        while self._waiting:
            batch = dict(list(self._waiting.items())[:_BATCH])
            async with database.read() as session:
                unknown = await _unknown(session, batch)
            if unknown:
                async with database.write() as session:
                    await keep(session, self._clock.now(), [*unknown.values()])
            for key in batch:
                self._waiting.pop(key, None)


async def keep(session: AsyncSession, now: datetime, sightings: Sequence[Sighting]) -> None:
    """Keep the addresses with this write session; record each use where others were known and this one was not."""
    known = await _counts(session, sightings)
    new: dict[tuple[str, int, str], Sighting] = {}
    for sighting in sightings:
        whose = (sighting.kind, sighting.credential_id)
        if known[whose] < _MOST_ADDRESSES:
            new.setdefault((*whose, network_of(sighting.address)), sighting)
    if not new:
        return
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    columns = (CredentialAddress.kind, CredentialAddress.credential_id, CredentialAddress.address)
    # Sorted: two hubs that keep the same addresses must not wait for each other.
    rows = dialect.insert(CredentialAddress).values([(*key, now) for key in sorted(new)])
    added = {tuple(key) for key in await session.execute(rows.on_conflict_do_nothing().returning(*columns))}
    for key, sighting in new.items():
        if key in added:
            if known[key[:2]]:
                record(session, _told(sighting))
            known[key[:2]] += 1


async def _counts(session: AsyncSession, sightings: Sequence[Sighting]) -> Counter[tuple[str, int]]:
    """How many addresses of these credentials are known."""
    wanted = {(sighting.kind, sighting.credential_id) for sighting in sightings}
    query = select(CredentialAddress.kind, CredentialAddress.credential_id, func.count()).where(
        CredentialAddress.kind.in_({kind for kind, _ in wanted}),
        CredentialAddress.credential_id.in_({credential_id for _, credential_id in wanted}),
    )
    found = await session.execute(query.group_by(CredentialAddress.kind, CredentialAddress.credential_id))
    return Counter({(kind, credential_id): count for kind, credential_id, count in found})


async def _unknown(
    session: AsyncSession, batch: dict[tuple[str, int, str], Sighting]
) -> dict[tuple[str, int, str], Sighting]:
    query = select(CredentialAddress.kind, CredentialAddress.credential_id, CredentialAddress.address)
    query = query.where(CredentialAddress.credential_id.in_({credential_id for _, credential_id, _ in batch}))
    known = {(kind, credential_id, address) for kind, credential_id, address in await session.execute(query)}
    return {key: sighting for key, sighting in batch.items() if key not in known}


def _told(sighting: Sighting) -> Deed:
    return Deed(
        _ACTIONS[sighting.kind],
        sighting.actor,
        organization_id=sighting.organization_id,
        object_kind=sighting.kind,
        object_id=sighting.credential_id,
        object_name=sighting.actor.name,
        address=sighting.address,
        request_id=sighting.request_id,
    )


def network_of(address: str) -> str:
    """What stands for one place: an IPv4 address, or the first 64 bits of an IPv6 one (the rest changes daily)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
