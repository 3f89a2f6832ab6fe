"""Two organizations that are full of data, and whose every word and number tells to which of them it belongs.

Names, uids, addresses and values carry the name of the organization; ids are from a range of its own, so that one in
an answer can be told from every other number.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from roost.migrations.tables import metadata
from tests.access.matrix.callers import PASSWORD, Caller, new_device
from tests.access.matrix.stored import on_database
from tests.roost_server import RoostServer


@dataclass
class Twin:
    """One of the two. `ids` are by the names they have in paths and queries."""

    name: str
    id_range: str
    server: RoostServer
    http: httpx2.Client
    people: dict[str, Caller] = field(default_factory=dict)
    ids: dict[str, list[Any]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def betrayed_by(self, said: str) -> list[str]:
        """What in this text is this organization's."""
        return re.findall(rf"{self.name}[\w@.-]*|\b{self.id_range}\d{{6}}\b", said)


def build_twins(server: RoostServer, http: httpx2.Client) -> tuple[Twin, Twin]:
    """Fill one after the other."""
    twins = Twin("aardvark", "7000", server, http), Twin("bumblebee", "8000", server, http)
    for twin in twins:
        _number_from(server, int(f"{twin.id_range}000001"))
        _fill(twin)
    return twins


def _number_from(server: RoostServer, first: int) -> None:
    """From now on every table that numbers its rows goes on from here."""
    numbered = [table.name for table in metadata.sorted_tables if _is_numbered(table)]

    async def set_counters(session: AsyncSession) -> None:
        if session.get_bind().dialect.name == "postgresql":
            for name in numbered:
                await session.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {first})"))
            return
        for name in numbered:
            await session.execute(text(f"DELETE FROM sqlite_sequence WHERE name = '{name}'"))
            await session.execute(text(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{name}', {first})"))

    on_database(server, set_counters)


def _is_numbered(table: Table) -> bool:
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _fill(twin: Twin) -> None:
    name, anybody = twin.name, Caller("anon", twin.http, twin.server)
    owner = Caller("own", twin.http, twin.server, email=f"{name}-own@example.org")
    registered = {"email": owner.email, "password": PASSWORD, "username": f"{name}-own", "full_name": f"{name} Owner"}
    anybody.make("/auth/register", {**registered, "organization_name": f"{name} Ltd"})
    owner.sign_in()
    profile = owner.get("/users/me")
    organization_id, first_home = profile["organizations"][0]["id"], profile["homes"][0]["id"]
    owner.ask("PATCH", f"/homes/{first_home}", json={"name": f"{name} House", "address": f"{name} Street 1"})
    homes = [first_home, owner.make("/homes", {"name": f"{name} Cabin", "organization_id": organization_id})["id"]]
    rooms = [owner.make(f"/homes/{home}/rooms", {"name": f"{name} Kitchen"})["id"] for home in homes]
    residents = [_resident(owner, name, home, room) for home, room in zip(homes, rooms, strict=True)]
    for resident in residents:
        owner.make(f"/residents/{resident}/events", {"text": f"{name} note"})
    devices = [
        new_device(owner, f"{name}-{number}", home_id=home, room_id=room, type=f"{name}-type", tags=[f"{name}-tag"])
        for number, (home, room) in enumerate(zip(homes, rooms, strict=True))
    ]
    messages = [_message(device, name) for device in devices for _ in range(2)]
    people = {role: _member(owner, twin, role, organization_id) for role in ("viewer", "editor", "technician")}
    assignment = owner.make("/assignments", {"user_id": people["technician"].user_id, "home_id": first_home})["id"]
    guest = {"email": f"{name}-guest@example.org", "role": "viewer"}
    invitations = [owner.make(f"/organizations/{organization_id}/invitations", guest)["id"]]
    anybody.make("/devices/hello", {"device_uid": f"{name}-unclaimed"})
    owner.make("/pairing/start", {"device_uid": f"{name}-unclaimed", "home_id": first_home})
    script = owner.make("/auth/api-tokens", {"name": f"{name} script", "scopes": owner.scopes})
    token = Caller("token", twin.http, twin.server, script["token"])
    twin.people = {"own": owner, "dev": devices[0], "token": token, **people}
    sessions = [one["id"] for one in owner.get("/auth/sessions")]
    twin.ids = {
        "organization_id": [organization_id], "home_id": homes, "room_id": rooms, "resident_id": residents,
        "device_id": [device.device_id for device in devices], "user_id": [one.user_id for one in people.values()],
        "assignment_id": [assignment], "invitation_id": invitations, "event_id": messages, "token_id": [script["id"]],
        "session_id": sessions, "actor_id": [owner.user_id], "object_id": [*homes, devices[0].device_id],
    }  # fmt: skip
    twin.words = [name, owner.email, f"{name}-type", f"{name}-tag", f"{name}-boot", f"{name}_temp_c", f"{name}-0-uid"]


def _resident(owner: Caller, name: str, home_id: int, room_id: int) -> Any:
    contacts = [{"name": f"{name} Contact", "phone": "+491234567", "email": f"{name}-contact@example.org"}]
    profile = {"full_name": f"{name} Resident", "notes": f"{name} notes", "contacts": contacts, "audio_consent": True}
    return owner.make("/residents", {**profile, "home_id": home_id, "room_id": room_id})["id"]


def _message(device: Caller, name: str) -> Any:
    device.make("/devices/hello", {"device_uid": device.device_uid, "capabilities": {name: True}})
    device.make(f"/devices/{device.device_id}/logs", {"message": f"{name} line"})
    sent = {"event_type": f"{name}-boot", "payload": {f"{name}_temp_c": 21.5}}
    return device.make("/telemetry", sent)["ids"][0]


def _member(owner: Caller, twin: Twin, role: str, organization_id: int) -> Caller:
    email = f"{twin.name}-{role}@example.org"
    wanted = {"email": email, "password": PASSWORD, "role": role, "full_name": f"{twin.name} {role}"}
    owner.make("/users", {**wanted, "organization_id": organization_id})
    return Caller(role, twin.http, twin.server, email=email).sign_in()
