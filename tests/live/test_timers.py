"""What a live socket does when nothing happens, with its clocks set fast: the hub runs in this process for that."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import update
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from roost.access.models import GrantRow
from roost.app import create_app
from roost.core.settings import Settings
from roost.live import socket
from tests.postgres_cluster import free_port
from tests.waiting import until

PASSWORD = "Tall-Chimney-42"


class Hub:
    """A hub in this process, and its administrator's token."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        settings = Settings(
            data_dir=folder,
            port=self.port,
            mqtt_port=free_port(),
            admin_password=SecretStr(PASSWORD),
            host_device=False,
        )
        self.app = create_app(settings, announce=lambda _: None)
        self.token = ""
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, port=self.port, ws="websockets-sansio", lifespan="on", log_config=None)
        )

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve())
        await until(lambda: self._server.started, timeout_s=20)
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", trust_env=False, verify=False
        ) as client:
            answer = await client.post("/auth/login", json={"identifier": "admin", "password": PASSWORD})
        self.token = answer.json()["access_token"]

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._task

    def connect(self, path: str = "/ws/live-data", *, authenticated: bool = True) -> connect:
        query = f"?token={self.token}" if authenticated else ""
        return connect(f"ws://127.0.0.1:{self.port}{path}{query}", proxy=None)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    made = Hub(tmp_path / "data")
    await made.start()
    yield made
    await made.stop()


async def receive(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        frame: dict[str, Any] = json.loads(await connection.recv())
    return frame


async def closing(connection: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        await _receive_for_ever(connection)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def _receive_for_ever(connection: ClientConnection) -> None:
    while True:
        await receive(connection)


async def test_an_idle_socket_is_pinged(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "PING_S", 0.05)
    async with hub.connect() as connection:
        assert await receive(connection) == {"type": "ready"}
        assert await receive(connection) == {"type": "ping"}
        await connection.send('{"type":"pong"}')
        assert await receive(connection) == {"type": "ping"}


async def test_who_never_says_who_it_is_has_to_go(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FIRST_TOKEN_TIMEOUT_S", 0.05)
    async with hub.connect(authenticated=False) as connection:
        code, reason = await closing(connection)
    assert code == 4401
    assert "in time" in reason


async def test_grants_are_looked_at_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "RECHECK_S", 0.05)
    async with hub.connect() as connection:
        assert await receive(connection) == {"type": "ready"}
        async with hub.app.state.database.write() as session:
            await session.execute(update(GrantRow).values(role="none"))
        code, reason = await closing(connection)
    assert code == 4403
    assert "telemetry:read" in reason


async def test_nothing_is_left_of_a_socket(hub: Hub) -> None:
    async with hub.connect() as connection, hub.connect("/ws/device-status") as other:
        assert await receive(connection) == {"type": "ready"}
        assert await receive(other) == {"type": "ready"}
        assert hub.app.state.live.open_sockets == 2
    await until(lambda: hub.app.state.live.open_sockets == 0)
    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "live-socket"])
