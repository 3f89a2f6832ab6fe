"""Lists cost the same number of queries however long they are."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, event

from roost.access.models import GrantRow
from roost.app import create_app
from roost.core.clock import SystemClock
from roost.core.settings import Settings

ROWS = 12


@pytest.fixture
async def measured(empty_database_url: str, tmp_path: Path) -> AsyncIterator[tuple[httpx2.AsyncClient, list[str]]]:
    """A hub in this process with `ROWS` of everything, its owner signed in, and the statements it executes."""
    settings = Settings(
        data_dir=tmp_path, database_url=empty_database_url, mqtt_port=0, host_device=False, _env_file=None
    )
    app, statements = create_app(settings, announce=lambda _: None), list[str]()

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT") and "outbox" not in statement:
            statements.append(statement)

    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
            await _fill(client, app.state.database)
            event.listen(app.state.database.engine.sync_engine, "before_cursor_execute", note)
            yield client, statements


async def _fill(client: httpx2.AsyncClient, database: object) -> None:
    credentials = {"email": "ada@example.org", "password": "Test1234!"}
    profile = (await client.post("/auth/register", json=credentials)).json()
    token = (await client.post("/auth/login", json=credentials)).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    first_home = profile["homes"][0]
    for number in range(ROWS):
        made = (await client.post("/homes", json={"name": f"Home {number}"})).json()
        rooms = f"/homes/{first_home['id']}/rooms"
        room = (await client.post(rooms, json={"name": f"Room {number}"})).json()
        place = {"home_id": first_home["id"], "room_id": room["id"]}
        resident = (await client.post("/residents", json={"full_name": f"R {number}", **place})).json()
        await client.post("/devices", json={"name": f"Device {number}", "tags": ["a", "b"], **place})
        await client.post("/residents/1/events", json={"text": f"Note {resident['id']}"})
        async with database.write() as session:  # type: ignore[attr-defined]
            session.add(
                GrantRow(
                    user_id=profile["id"],
                    role="technician",
                    organization_id=first_home["organization_id"],
                    home_id=made["id"],
                    created_at=SystemClock().now(),
                )
            )


async def test_the_number_of_queries_does_not_grow(measured: tuple[httpx2.AsyncClient, list[str]]) -> None:
    client, statements = measured
    home_id = (await client.get("/homes?limit=1")).json()[0]["id"]
    for path in (
        "/homes",
        f"/homes/{home_id}/rooms",
        f"/homes/{home_id}/residents",
        "/residents",
        "/residents/1/events",
        "/assignments",
        "/devices",
    ):
        counts = []
        for limit in (1, ROWS):
            statements.clear()
            answer = await client.get(path, params={"limit": limit})
            assert answer.status_code == 200, answer.text
            assert len(answer.json()) == limit, path
            counts.append(len(statements))
        assert counts[0] == counts[1], (path, counts)
