"""Which process speaks with a broker, and what is left behind at it."""

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from roost.bridges.book import BridgeBook
from roost.bridges.models import Bridge
from roost.bridges.schemas import BridgeCreate
from roost.bridges.sealing import Sealing
from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.core.settings import Settings
from tests.bridges.conftest import ask, bridge, readings
from tests.bridges.mosquitto import Maker, Mosquitto
from tests.conftest import RegisteredDevice, UserClient
from tests.migrated_databases import MigratedDatabases
from tests.waiting import wait_until

Makers = Callable[..., Maker]


@pytest.fixture
async def database(tmp_path: Path, migrated: MigratedDatabases) -> AsyncIterator[Database]:
    """A PostgreSQL with one bridge in it."""
    settings = Settings(data_dir=tmp_path, database_url=migrated.postgresql(), _env_file=None)
    opened = Database(settings)
    now = SystemClock().now()
    async with opened.write() as session:
        await session.execute(
            text("INSERT INTO organizations (id, name, created_at, updated_at) VALUES (3, 'A', now(), now())")
        )
        session.add(
            Bridge(
                organization_id=3, name="House", url="mqtt://127.0.0.1", version="5", client_id="roost-1", sources=[],
                register_devices=False, enabled=True, stale_filters=[], status="waiting", status_since=now,
                created_at=now, updated_at=now,
            )
        )  # fmt: skip
    yield opened
    await opened.dispose()


async def test_one_process_holds_a_bridge_until_it_lets_go_or_is_gone(database: Database) -> None:
    first, second = (BridgeBook(database, SystemClock(), name) for name in ("first", "second"))
    assert len(await first.list_due()) == 1
    assert await second.list_due() == []
    assert len(await first.list_due()) == 1
    await first.release()
    assert len(await second.list_due()) == 1
    assert await first.list_due() == []
    async with database.write() as session:
        # The second one has not been heard of for longer than it may be.
        await session.execute(text("UPDATE bridges SET held_until = now() - interval '1 second'"))
    assert len(await first.list_due()) == 1
    assert await second.list_due() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://broker"), ("url", "mqtt://"), ("url", "mqtt://a:b@broker"), ("url", "mqtt://broker:70000"),
        ("url", "mqtt://[::1"), ("url", "mqtt://br öker"), ("url", "mqtt://broker/path"), ("ca_certificate", "ä"),
        ("ca_certificate", "-----BEGIN CERTIFICATE-----"), ("discovery_prefix", "a/#"), ("version", "3.1"),
        ("sources", [{"topic": "a/{device}", "device_uid": "{other}"}]), ("sources", [{"topic": "#/a"}]),
    ],
)  # fmt: skip
def test_what_is_no_bridge_is_refused_with_the_field_s_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        BridgeCreate.model_validate({"name": "House", "url": "mqtt://broker", field: value})
    assert refused.value.errors()[0]["loc"][0] == field


def test_a_sealed_password_opens_for_its_bridge_and_with_its_key_alone() -> None:
    sealing = Sealing("a secret of the hub's")
    sealed = sealing.seal("roost-1", "Pass-Wörd")
    assert "Pass" not in sealed
    assert sealing.open("roost-1", sealed) == "Pass-Wörd"
    assert sealing.open("roost-2", sealed) is None
    assert Sealing("another secret").open("roost-1", sealed) is None


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_another_broker_does_not_get_the_password(user: UserClient) -> None:
    wanted = {
        "name": "House",
        "url": "mqtt://127.0.0.1",
        "user_name": "roost",
        "password": "Secret-1",
        "enabled": False,
    }
    made = ask(user, "POST", "/bridges", wanted)
    path = f"/bridges/{made['id']}"
    refused = user.patch(path, json={"url": "mqtt://192.0.2.1"})
    assert (refused.status_code, refused.json()["code"]) == (422, "password_needed")
    assert ask(user, "PATCH", path, {"url": "mqtt://192.0.2.1", "password": "Secret-2"})["has_password"] is True
    assert ask(user, "PATCH", path, {"user_name": None, "password": None})["has_password"] is False


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_paused_bridge_and_one_without_a_home_leave_nothing_at_the_broker(
    user: UserClient, device: RegisteredDevice, broker: Mosquitto, makers: Makers
) -> None:
    root, prefix = uuid.uuid4().hex, f"ha-{uuid.uuid4().hex}"
    sources = [{"topic": f"{root}/{{device}}"}]
    made = bridge(user, broker, sources=sources, discovery_prefix=prefix)
    maker = makers(broker).listen(f"{prefix}/#", f"{made['client_id']}/#")
    topic = f"{prefix}/device/{made['client_id']}-{device.id}/config"
    wait_until(lambda: maker.kept.get(topic), what="The announcement")
    ask(user, "PATCH", f"/bridges/{made['id']}", {"enabled": False})
    wait_until(lambda: not any(maker.kept.values()), 15, what="Everything being taken back")
    maker.say(f"{root}/{device.uid}", '{"missed": 1}')
    ask(user, "PATCH", f"/bridges/{made['id']}", {"enabled": True})
    wait_until(lambda: maker.kept.get(topic), 15, what="The announcement after the pause")
    maker.say(f"{root}/{device.uid}", '{"heard": 2}')
    wait_until(lambda: readings(user, device.id) == {"heard": 2}, what="The message after the pause")
    organization_id = ask(user, "GET", f"/devices/{device.id}")["organization_id"]
    ask(user, "DELETE", f"/organizations/{organization_id}")
    wait_until(lambda: not any(maker.kept.values()), 25, what="Everything being taken back for good")
