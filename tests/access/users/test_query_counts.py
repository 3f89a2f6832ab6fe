"""Lists of organizations, members, invitations and users cost the same number of queries however long they are."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, event

from roost.app import create_app
from roost.core.settings import Settings

ROWS = 6


@pytest.fixture
async def measured(empty_database_url: str, tmp_path: Path) -> AsyncIterator[tuple[httpx2.AsyncClient, list[str]]]:
    """A hub in this process with `ROWS` of everything, its administrator signed in, and the statements it executes."""
    settings = Settings(
        data_dir=tmp_path, database_url=empty_database_url, mqtt_port=0, host_device=False,
        admin_email="ada@example.org", admin_password="Test1234!", _env_file=None,
    )  # fmt: skip
    app, statements = create_app(settings, announce=lambda _: None), list[str]()

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT") and "outbox" not in statement:
            statements.append(statement)

    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
            await _fill(client)
            event.listen(app.state.database.engine.sync_engine, "before_cursor_execute", note)
            yield client, statements


async def _fill(client: httpx2.AsyncClient) -> None:
    credentials = {"email": "ada@example.org", "password": "Test1234!"}
    token = (await client.post("/auth/login", json=credentials)).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    for number in range(ROWS):
        for path, body in (
            ("/users", {"email": f"u{number}@example.org", "organization_id": 1}),
            ("/organizations/1/invitations", {"email": f"i{number}@example.org", "role": "viewer"}),
            ("/organizations", {"name": f"Organization {number}"}),
        ):
            answer = await client.post(path, json=body)
            assert answer.status_code == 201, answer.text


async def test_the_number_of_queries_does_not_grow(measured: tuple[httpx2.AsyncClient, list[str]]) -> None:
    client, statements = measured
    for path in (
        "/organizations",
        "/organizations/1/members",
        "/organizations/1/invitations",
        "/users",
        "/admin/users",
    ):
        counts = []
        for limit in (1, ROWS):
            statements.clear()
            answer = await client.get(path, params={"limit": limit})
            assert answer.status_code == 200, answer.text
            assert len(answer.json()) == limit, path
            counts.append(len(statements))
        assert counts[0] == counts[1], (path, counts)
