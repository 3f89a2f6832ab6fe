"""Every list costs the same number of statements however long it is.

Counted are those of the database; telemetry itself stands in a log of its own, which is asked once for a list.
"""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, event

from roost.access.credentials.models import ApiToken, ExternalIdentity, Passkey
from roost.access.models import GrantRow, Organization, Session, User
from roost.access.organizations.models import Invitation
from roost.app import create_app
from roost.core.clock import SystemClock
from roost.core.database import Base
from roost.core.settings import Settings
from tests.api_document import api_document

ROWS = 12
# For the list that gathers most.
_MOST_SELECTS = {"/ops/houses": 8}
# Also in what the request starts by itself, but not in what the hub does beside it.
_statements: ContextVar[list[str] | None] = ContextVar("statements", default=None)


def _lists() -> list[str]:
    paths = api_document()["paths"]
    return [
        path.removeprefix("/api/v1")
        for path, operations in paths.items()
        if any(parameter["name"] == "limit" for parameter in operations.get("get", {}).get("parameters", ()))
    ]


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[FastAPI, httpx2.AsyncClient]]:
    """A hub in this process, with a client that nobody has signed in with."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, mqtt_port=0, host_device=False,
        admin_email="admin@example.org", admin_password="Tall-Chimney-42", _env_file=None,
    )  # fmt: skip
    app = create_app(settings, announce=lambda _: None)

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        noted = _statements.get()
        if noted is not None:
            noted.append(statement)

    async with app.router.lifespan_context(app):
        event.listen(app.state.database.engine.sync_engine, "before_cursor_execute", note)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub/api/v1") as client:
            yield app, client


async def test_no_list_costs_more_for_more_rows(hub: tuple[FastAPI, httpx2.AsyncClient]) -> None:
    app, client = hub
    headers, ids, device_headers = await _fill(app, client)
    grown = {}
    for path in _lists():
        who = device_headers if path == "/telemetry/recent" else headers
        # One's own assignments come without a filter, and the administrator has none.
        query = {"organization_id": ids["organization_id"]} if path == "/assignments" else {}
        counts = []
        # What is remembered for seconds is remembered from here on.
        await client.get(path.format(**ids), params={"limit": 1, **query}, headers=who)
        for limit in (1, ROWS):
            noted: list[str] = []
            token = _statements.set(noted)
            answer = await client.get(path.format(**ids), params={"limit": limit, **query}, headers=who)
            _statements.reset(token)
            assert answer.status_code == 200, (path, answer.text)
            assert len(answer.json()) == limit, f"{path} has too few rows here: let _fill make {ROWS} of them."
            counts.append(len(noted))
            selects = sum(statement.startswith("SELECT") for statement in noted)
            assert selects <= _MOST_SELECTS.get(path, selects), (path, noted)
        assert counts[0] or path == "/telemetry/recent", f"Nothing was counted for {path}."
        if counts[0] != counts[1]:
            grown[path] = counts
    assert not grown, grown


async def _fill(app: FastAPI, client: httpx2.AsyncClient) -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
    """`ROWS` of everything in an organization of the administrator's: who reads it, the ids, and a device of it."""
    credentials = {"email": "admin@example.org", "password": "Tall-Chimney-42"}
    signed_in = (await client.post("/auth/login", json=credentials)).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}

    async def make(path: str, who: dict[str, str] = headers, **body: Any) -> Any:
        answer = await client.post(path, json=body, headers=who)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    organization_id = (await make("/organizations", name="Full"))["id"]
    homes = [(await make("/homes", name=f"Home {n}", organization_id=organization_id))["id"] for n in range(ROWS)]
    device: dict[str, Any] = {}
    for number in range(ROWS):
        await make("/retention-policies", organization_id=organization_id, key_pattern=f"key-{number}", keep_days=None)
        bridge: dict[str, Any] = {"name": f"Bridge {number}", "url": "mqtt://127.0.0.1", "enabled": False}
        await make("/bridges", organization_id=organization_id, **bridge)
        room = await make(f"/homes/{homes[0]}/rooms", name=f"Room {number}")
        place = {"home_id": homes[0], "room_id": room["id"]}
        resident = await make("/residents", full_name=f"Resident {number}", **place)
        device = await make("/devices", name=f"Device {number}", tags=["a", "b"], **place)
    secret = {"X-Device-Token": device["device_token"]}
    for number in range(ROWS):
        await make(f"/residents/{resident['id']}/events", text=f"Note {number}")
        await make("/telemetry", secret, event_type="count", payload={"n": number})
        await make("/tasks/bulk", type="blink", devices={"device_ids": [device["id"]]})
        await make(f"/devices/{device['id']}/logs", secret, message=f"Line {number}")
        wish = {"desired": {"n": number}}
        changed = await client.put(f"/devices/{device['id']}/shadow", json=wish, headers=headers)
        assert changed.is_success, changed.text
    user_id = signed_in["user"]["id"]
    async with app.state.database.write() as session:
        for number, home_id in enumerate(homes):
            session.add_all(_of_the_user(user_id, number))
            session.add_all(_beside_others(organization_id, number))
            member = _user(number)
            session.add(member)
            await session.flush()
            session.add_all(_memberships(member.id, organization_id, home_id))
    ids = {"organization_id": organization_id, "home_id": homes[0], "resident_id": resident["id"]}
    return headers, {**ids, "device_id": device["id"]}, secret


_NOW = SystemClock().now()
_LATER = _NOW + timedelta(days=1)


def _user(number: int) -> User:
    name = f"member-{number}"
    return User(
        username=name, username_key=name, email=f"{name}@example.org", email_key=f"{name}@example.org",
        is_active=True, created_at=_NOW, updated_at=_NOW,
    )  # fmt: skip


def _memberships(user_id: int, organization_id: int, home_id: int) -> list[Base]:
    return [
        GrantRow(user_id=user_id, role="technician", organization_id=organization_id, home_id=place, created_at=_NOW)
        for place in (None, home_id)
    ]


def _of_the_user(user_id: int, number: int) -> list[Base]:
    return [
        Session(user_id=user_id, method="password", created_at=_NOW, used_at=_NOW, expires_at=_LATER),
        ApiToken(user_id=user_id, name="Script", scopes=["devices:read"], digest=f"token-{number}", created_at=_NOW),
        Passkey(user_id=user_id, name="Key", credential_id=f"key-{number}", public_key=b"key", created_at=_NOW),
        ExternalIdentity(user_id=user_id, issuer="https://id.example.org", subject=f"{number}", created_at=_NOW),
    ]


def _beside_others(organization_id: int, number: int) -> list[Base]:
    email = f"guest-{number}@example.org"
    return [
        Organization(name=f"Another {number}", created_at=_NOW, updated_at=_NOW),
        Invitation(
            organization_id=organization_id, email=email, email_key=email, role="viewer", digest=f"guest-{number}",
            created_at=_NOW, expires_at=_LATER,
        ),
    ]  # fmt: skip
