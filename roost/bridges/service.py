"""What people do with bridges; all of it goes into the audit log."""

import secrets
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.organizations.repository import choose_organization
from roost.access.principals import UserPrincipal
from roost.bridges.broker_topics import birth_topic
from roost.bridges.messages import CHANGED, bridge_event
from roost.bridges.models import Bridge
from roost.bridges.repository import WRITE, count_bridges, get_bridge
from roost.bridges.schemas import BridgeCreate, BridgeUpdate, SourceIn
from roost.bridges.sealing import Sealing
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden, Invalid
from roost.places.repository import find_home, no_home

BRIDGES_PER_ORGANIZATION = 20
_NOT_HERE = "This hub does not connect to other brokers (its operator has set ROOST_BRIDGES=false)."


class BridgeDesk:
    """Makes, changes and ends bridges; `allowed` is whether this hub connects to other brokers at all."""

    def __init__(self, clock: Clock, sealing: Sealing, *, allowed: bool) -> None:
        self._clock = clock
        self._sealing = sealing
        self._allowed = allowed

    async def create(self, session: AsyncSession, principal: UserPrincipal, wanted: BridgeCreate) -> Bridge:
        """A new bridge. Raises NotFound, Forbidden, Invalid, Conflict when there are too many."""
        organization_id = await self._organization(session, principal, wanted)
        if not self._allowed:
            raise Forbidden(_NOT_HERE, code="bridges_off")
        if await count_bridges(session, organization_id) >= BRIDGES_PER_ORGANIZATION:
            raise Conflict(f"An organization has at most {BRIDGES_PER_ORGANIZATION} bridges.", code="too_many_bridges")
        now = self._clock.now()
        client_id = f"roost-{secrets.token_hex(8)}"
        sealed = None if wanted.password is None else self._sealing.seal(client_id, wanted.password)
        status, reason = _first_status(wanted.enabled)
        bridge = Bridge(
            organization_id=organization_id, home_id=wanted.home_id, name=wanted.name, url=wanted.url,
            version=wanted.version, user_name=wanted.user_name, sealed_password=sealed,
            ca_certificate=wanted.ca_certificate, client_id=client_id, sources=_rows(wanted.sources),
            register_devices=wanted.register_devices, discovery_prefix=wanted.discovery_prefix,
            enabled=wanted.enabled, stale_filters=[], status=status, status_reason=reason, status_since=now,
            created_at=now, updated_at=now,
        )  # fmt: skip
        session.add(bridge)
        await session.flush()
        self._tell(session, "bridge.created", principal, bridge)
        return bridge

    async def change(
        self, session: AsyncSession, principal: UserPrincipal, bridge_id: int, wanted: BridgeUpdate
    ) -> Bridge:
        """Raises NotFound, Forbidden, Invalid when a password would go to a broker it was not given for."""
        bridge = await self._own(session, principal, bridge_id)
        given = wanted.model_fields_set
        if "enabled" in given and wanted.enabled and not self._allowed:
            raise Forbidden(_NOT_HERE, code="bridges_off")
        self._change_credentials(bridge, wanted)
        if "sources" in given and wanted.sources is not None:
            _change_sources(bridge, wanted.sources)
        if "discovery_prefix" in given and bridge.discovery_prefix not in {None, wanted.discovery_prefix}:
            bridge.stale_filters = sorted({*bridge.stale_filters, birth_topic(bridge.discovery_prefix)})
        for name in ("name", "version", "ca_certificate", "register_devices", "discovery_prefix"):
            if name in given:
                setattr(bridge, name, getattr(wanted, name))
        if wanted.enabled is not None and wanted.enabled != bridge.enabled:
            bridge.enabled = wanted.enabled
            # What the broker keeps for the hub while nobody wants it would only fill the broker.
            bridge.farewell_due = not wanted.enabled
            bridge.status, bridge.status_reason = _first_status(wanted.enabled)
            bridge.status_since = self._clock.now()
        bridge.updated_at = self._clock.now()
        await session.flush()
        self._tell(session, "bridge.changed", principal, bridge, changed=sorted(given))
        return bridge

    async def remove(self, session: AsyncSession, principal: UserPrincipal, bridge_id: int) -> None:
        """It is gone for people at once; the row stays until the broker has been told. Raises NotFound, Forbidden."""
        bridge = await self._own(session, principal, bridge_id)
        bridge.ended_at = bridge.updated_at = self._clock.now()
        bridge.enabled, bridge.farewell_due = False, True
        self._tell(session, "bridge.deleted", principal, bridge)

    def _change_credentials(self, bridge: Bridge, wanted: BridgeUpdate) -> None:
        given = wanted.model_fields_set
        if wanted.url is not None and wanted.url != bridge.url:
            if bridge.sealed_password is not None and "password" not in given:
                why = "Give the password again: it was not given for this broker."
                raise Invalid(why, code="password_needed", errors=[{"pointer": "/password", "detail": why}])
            bridge.url = wanted.url
            bridge.stale_filters = []
        if "user_name" in given:
            bridge.user_name = wanted.user_name
        if "password" in given:
            sealed = None if wanted.password is None else self._sealing.seal(bridge.client_id, wanted.password)
            bridge.sealed_password = sealed
        if bridge.user_name is None and bridge.sealed_password is not None:
            why = "A password needs a user_name."
            raise Invalid(why, errors=[{"pointer": "/user_name", "detail": why}])

    async def _organization(self, session: AsyncSession, principal: UserPrincipal, wanted: BridgeCreate) -> int:
        if wanted.home_id is None:
            return await choose_organization(session, principal, WRITE, wanted.organization_id)
        home = await find_home(session, principal, wanted.home_id, "homes:read")
        if home is None or wanted.organization_id not in {None, home.organization_id}:
            raise no_home(wanted.home_id)
        return await choose_organization(session, principal, WRITE, home.organization_id)

    async def _own(self, session: AsyncSession, principal: UserPrincipal, bridge_id: int) -> Bridge:
        bridge = await get_bridge(session, principal, bridge_id, lock=True)
        if not principal.can(WRITE, bridge.organization_id):
            raise Forbidden(f"In this organization your role does not include {WRITE}.", code="missing_scope")
        return bridge

    def _tell(
        self, session: AsyncSession, action: str, principal: UserPrincipal, bridge: Bridge, **details: object
    ) -> None:
        outbox.add(session, CHANGED, bridge_event(bridge.id, bridge.organization_id))
        deed = Deed(
            action, Actor.of(principal), organization_id=bridge.organization_id, object_kind="bridge",
            object_id=bridge.id, object_name=bridge.name, details={"url": bridge.url, **details},
        )  # fmt: skip
        record(session, deed)


def _change_sources(bridge: Bridge, wanted: list[SourceIn]) -> None:
    before = {source.source().pattern.filter for source in map(SourceIn.model_validate, bridge.sources)}
    after = {source.source().pattern.filter for source in wanted}
    bridge.stale_filters = sorted((set(bridge.stale_filters) | before) - after)
    bridge.sources = _rows(wanted)


def _rows(sources: list[SourceIn]) -> list[dict[str, Any]]:
    return [source.model_dump() for source in sources]


def _first_status(enabled: bool) -> tuple[str, str | None]:
    return ("waiting", "It has not connected yet.") if enabled else ("off", None)
