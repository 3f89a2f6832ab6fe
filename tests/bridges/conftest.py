"""Brokers beside the hub, and what tests of bridges ask of both."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.bridges.mosquitto import Maker, Mosquitto
from tests.mqtt.conftest import certificate  # noqa: F401 - a fixture
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that tests share; each has topics of its own."""
    running = Mosquitto(tmp_path_factory.mktemp("mosquitto")).start()
    yield running
    running.stop()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker for one test alone, which may stop and start it."""
    running = Mosquitto(tmp_path / "mosquitto").start()
    yield running
    running.stop()


@pytest.fixture
def makers() -> Iterator[Callable[..., Maker]]:
    """`makers(broker)` connects somebody who has devices there."""
    made: list[Maker] = []

    def make(broker: Mosquitto, *credentials: str) -> Maker:
        made.append(Maker(broker, *credentials))
        return made[-1]

    yield make
    for maker in made:
        maker.close()


def bridge(user: httpx2.Client, broker: Mosquitto, **wanted: Any) -> dict[str, Any]:
    """A new bridge of the user's that is connected."""
    made = ask(user, "POST", "/bridges", {"name": "House", "url": broker.url, **wanted})
    return wait_for_status(user, made["id"], "connected")


def wait_for_status(user: httpx2.Client, bridge_id: int, status: str) -> dict[str, Any]:
    """The bridge once it has this status."""

    def look() -> dict[str, Any]:
        seen: dict[str, Any] = ask(user, "GET", f"/bridges/{bridge_id}")
        return seen if seen["status"] == status else {}

    return wait_until(look, 15, what=f"The bridge being {status}")


def ask(user: httpx2.Client, method: str, path: str, body: Any = None) -> Any:
    """The answer to a request that has to succeed."""
    answer = user.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def readings(user: httpx2.Client, device_id: int) -> dict[str, Any]:
    """The device's newest value of each series."""
    return {one["sensor_type"]: one["value"] for one in ask(user, "GET", f"/devices/{device_id}/readings/latest")}
