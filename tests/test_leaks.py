"""When the hub stops, nothing of it goes on: no task, no thread, no open port."""

import asyncio
import socket
import threading
from pathlib import Path

import httpx2
from pydantic import SecretStr

from roost.app import create_app
from roost.core.settings import Settings
from tests.postgres_cluster import free_port
from tests.waiting import until


async def test_nothing_goes_on_after_the_lifespan(tmp_path: Path) -> None:
    mqtt_port = free_port()
    settings = Settings(data_dir=tmp_path / "data", mqtt_port=mqtt_port, admin_password=SecretStr("Tall-Chimney-42"))
    app = create_app(settings)
    tasks, threads = asyncio.all_tasks(), _our_threads()
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
            assert (await client.get("/healthz")).status_code == 200
        assert _listens(mqtt_port)
    assert not _listens(mqtt_port)
    assert asyncio.all_tasks() == tasks
    await until(lambda: not _our_threads() - threads, what="The end of every thread")


def _our_threads() -> set[threading.Thread]:
    """All threads but those of the event loop's own pools, which outlive their work."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "AnyIO worker"))}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
