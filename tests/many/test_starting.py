"""What one of several processes needs, and says when it is missing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roost.cli import run
from roost.cli.run import CannotStart, read_settings
from roost.core import nats as core_nats
from roost.core.settings import Settings
from roost.parts import Part
from tests.nats_server import NatsServer
from tests.postgres_cluster import free_port

_POSTGRES = "postgresql://nobody@127.0.0.1/nothing"
_KEYS = {"secret_key": "s" * 32, "audit_key": "a" * 32}


@pytest.fixture
def settings() -> Settings:
    return read_settings({"nats_stream_mib": 16})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"nats_url": "nats://here", **_KEYS}, "needs PostgreSQL"),
        ({"nats_url": "nats://here", "database_url": _POSTGRES, "secret_key": "s" * 32}, "secret_key and audit_key"),
        ({"nats_url": "here:4222", "database_url": _POSTGRES, **_KEYS}, "nats://host:4222"),
    ],
)
def test_settings_that_do_not_go_together(flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotStart, match=sentence):
        read_settings(flags)


@pytest.mark.parametrize("part", [Part.API, Part.MQTT, Part.WORKER])
def test_a_part_alone_needs_nats(part: Part, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="need NATS_URL"):
        run._checked(read_settings({"data_dir": str(tmp_path)}), part)


def test_a_hub_without_nats_does_not_load_it() -> None:
    loaded = "import sys, roost.cli.run; print([name for name in ('nats', 'roost.worker') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


async def test_says_that_nats_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_nats, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(CannotStart, match="NATS cannot be used"):
        await run._check_nats(settings, f"nats://127.0.0.1:{free_port()}")


async def test_says_that_nats_keeps_no_streams(settings: Settings) -> None:
    server = NatsServer(streams=False).start()
    try:
        with pytest.raises(CannotStart, match="JetStream is not enabled"):
            await run._check_nats(settings, server.url)
    finally:
        server.remove()


async def test_says_that_nats_has_no_room(
    settings: Settings, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_nats, "_STREAM_PATIENCE_S", 0)
    too_much = settings.model_copy(update={"nats_stream_mib": 2**24})
    with pytest.raises(CannotStart, match="insufficient storage"):
        await run._check_nats(too_much, nats.url)


async def test_one_of_several_servers_is_enough(settings: Settings, nats: NatsServer) -> None:
    await run._check_nats(settings, f"nats://127.0.0.1:{free_port()}, {nats.url}")
