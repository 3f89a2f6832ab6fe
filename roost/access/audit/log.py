"""Writing the audit log: each entry is numbered without gaps and sealed together with the one before it.

An entry is written in the transaction of the deed itself, so there is no deed without its entry and no entry of what
was rolled back. The seal is an HMAC: whoever can change the database but does not have the hub's key cannot mend the
chain.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.models import AuditEntry, AuditHead
from roost.access.models import GrantRow
from roost.access.principals import Grant, UserPrincipal
from roost.core import logging as logs
from roost.core.clock import SystemClock, rfc3339
from roost.core.database import Database, before_commit

Outcome = Literal["success", "refused", "failed"]
GENESIS = "0" * 64
_PENDING = "roost_audit"
_KEY = "roost_audit_key"
# Before the outbox, always: two writers that take the two locks in different orders would wait for each other.
_RANK = 0
_PEOPLE = frozenset({"user", "api_token"})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `kind` is user, api_token, device, anonymous or system."""

    kind: str
    id: int | None = None
    name: str | None = None

    @classmethod
    def of(cls, principal: UserPrincipal) -> Self:
        """The signed-in user; one who came with an API token is said to."""
        return cls("user" if principal.api_token_id is None else "api_token", principal.user_id, principal.email)


SYSTEM = Actor("system")
ANONYMOUS = Actor("anonymous")


def only_organization(grants: Iterable[Grant]) -> int | None:
    """The organization that shall see what somebody with these grants does in no place in particular: the only one."""
    found = {grant.organization_id for grant in grants}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be remembered. `action` is like `device.claimed`; `details` hold plain JSON and never a secret."""

    action: str
    actor: Actor
    outcome: Outcome = "success"
    organization_id: int | None = None
    object_kind: str | None = None
    object_id: int | str | None = None
    object_name: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    address: str | None = None
    request_id: str | None = None
    at: datetime | None = None


def record(session: AsyncSession, deed: Deed) -> None:
    """Write the entry with this write session's commit. Its database needs to have been given a key (`use_key`)."""
    pending = session.info.get(_PENDING)
    if pending is None:
        pending = session.info[_PENDING] = []
        before_commit(session, _write, rank=_RANK)
    pending.append(_complete(deed))


def use_key(database: Database, key: str) -> None:
    """Seal what the sessions of this database record with this key."""
    database.session_info[_KEY] = key


def _complete(deed: Deed) -> dict[str, Any]:
    row = asdict(deed)
    actor = row.pop("actor")
    row.update(actor_kind=actor["kind"], actor_id=actor["id"], actor_name=actor["name"])
    row["object_id"] = None if deed.object_id is None else str(deed.object_id)[:64]
    moment = deed.at or SystemClock().now()
    # As exact as it is sealed and shown.
    row["at"] = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    row["address"] = deed.address or logs.client_address.get()
    row["request_id"] = deed.request_id or logs.request_id.get()
    for name, longest in (("actor_name", 255), ("object_name", 255), ("address", 64), ("request_id", 64)):
        row[name] = None if row[name] is None else _storable(row[name])[:longest]
    return row


def _storable(text: str) -> str:
    """Without what PostgreSQL cannot hold: NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


async def _write(session: AsyncSession) -> None:
    rows: list[dict[str, Any]] = session.info.pop(_PENDING, [])
    await session.flush()
    key: str = session.info[_KEY]
    head = await _locked_head(session)
    last_id, last_mac = head.last_id, head.last_mac
    await _place(session, rows)
    for row in rows:
        last_id += 1
        row["id"] = last_id
        last_mac = row["mac"] = seal(row, last_mac, key)
    await session.execute(insert(AuditEntry), rows)
    change = update(AuditHead).where(AuditHead.id == 1)
    await session.execute(change.values(last_id=last_id, last_mac=last_mac, mac=seal_head(last_id, last_mac, key)))


async def _place(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    """What somebody does about an account, and not in an organization, is seen by the only one they belong to."""
    unplaced = [row for row in rows if row["organization_id"] is None and row["actor_kind"] in _PEOPLE]
    user_ids = {row["actor_id"] for row in unplaced}
    if not user_ids:
        return
    query = select(GrantRow.user_id, GrantRow.role, GrantRow.organization_id, GrantRow.home_id)
    grants: dict[int, list[Grant]] = {}
    for user_id, role, organization_id, home_id in await session.execute(query.where(GrantRow.user_id.in_(user_ids))):
        grants.setdefault(user_id, []).append(Grant(role, organization_id, home_id))
    for row in unplaced:
        row["organization_id"] = only_organization(grants.get(row["actor_id"], ()))


def seal(row: dict[str, Any], before: str, key: str) -> str:
    """The seal of an entry (all columns but `mac`) that follows one sealed `before`."""
    content = {name: value for name, value in row.items() if name != "mac"}
    content["at"] = rfc3339(row["at"])
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return _mac(f"{before}\n{text}", key)


def seal_head(last_id: int, last_mac: str, key: str) -> str:
    """The seal of the row that names the newest entry."""
    return _mac(f"head\n{last_id}\n{last_mac}", key)


def _mac(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


async def _locked_head(session: AsyncSession) -> AuditHead:
    # Whoever holds this row writes; the others wait, so that the numbers have neither gaps nor doubles.
    query = select(AuditHead).where(AuditHead.id == 1).with_for_update()
    head = await session.scalar(query)
    if head is not None:
        return head
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    first = dialect.insert(AuditHead).values(id=1, last_id=0, last_mac=GENESIS, mac="")
    await session.execute(first.on_conflict_do_nothing())
    return (await session.scalars(query)).one()
