"""The hub is killed, the broker is restarted, and everything that the broker was given arrives."""

import uuid
from collections.abc import Callable

import pytest

from tests.bridges.conftest import ask, bridge, readings
from tests.bridges.mosquitto import Maker, Mosquitto
from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

Makers = Callable[..., Maker]


MANY = 3_000


def some_are_stored(user: UserClient, device: RegisteredDevice) -> bool:
    """Whether the hub has any of it."""
    return bool(user.get(f"/devices/{device.id}/readings", params={"sensor_type": "n", "limit": 1}).json())


def stored(user: UserClient, device: RegisteredDevice) -> list[int]:
    """What the hub has of it, in order of arrival."""
    answer = user.get(f"/devices/{device.id}/readings", params={"sensor_type": "n", "limit": 500})
    found = [int(one["value"]) for one in answer.json()]
    while "X-Next-Cursor" in answer.headers:
        cursor = answer.headers["X-Next-Cursor"]
        query: dict[str, str | int] = {"sensor_type": "n", "limit": 500, "cursor": cursor}
        answer = user.get(f"/devices/{device.id}/readings", params=query)
        found += [int(one["value"]) for one in answer.json()]
    return found


@pytest.fixture(params=["5", "3.1.1"])
def version(request: pytest.FixtureRequest) -> str:
    """The versions that bridges speak."""
    return str(request.param)


def test_a_killed_hub_gets_what_it_has_not_acknowledged(
    fresh_server: FreshServer, own_broker: Mosquitto, makers: Makers, version: str
) -> None:
    server: RoostServer = fresh_server()
    with register_user(server) as user:
        device = register_device(user)
        bridge(user, own_broker, sources=[{"topic": "out/{device}"}], version=version)
        maker = makers(own_broker)
        maker.say_at_once(f"out/{device.uid}", [f'{{"n": {number}}}' for number in range(MANY)])
        # Most of them are on their way, some in the hub's memory, few on disk.
        wait_until(lambda: some_are_stored(user, device), what="The first messages")
        server.kill()
        maker.say(f"out/{device.uid}", f'{{"n": {MANY}}}')
        server.start()
        wait_until(lambda: set(stored(user, device)) == set(range(MANY + 1)), 20, what="All messages")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_restarted_broker_is_found_again(
    server: RoostServer, user: UserClient, device: RegisteredDevice, own_broker: Mosquitto, makers: Makers
) -> None:
    topic = f"{uuid.uuid4().hex}/{device.uid}"
    made = bridge(user, own_broker, sources=[{"topic": topic.rpartition("/")[0] + "/{device}"}])
    makers(own_broker).say(topic, '{"n": 1}')
    wait_until(lambda: readings(user, device.id) == {"n": 1}, what="The first message")
    own_broker.stop()
    wait_until(lambda: ask(user, "GET", f"/bridges/{made['id']}")["status"] == "failing", what="The bridge noticing")
    own_broker.start()
    # Said while the hub is not connected yet: the broker has kept the hub's session.
    makers(own_broker).say(topic, '{"n": 2}')
    wait_until(lambda: readings(user, device.id) == {"n": 2}, 15, what="The second message")
    assert stored(user, device) in ([1, 2], [2, 1])


def test_a_device_above_its_rate_is_slowed_down_and_loses_nothing(
    fresh_server: FreshServer, own_broker: Mosquitto, makers: Makers
) -> None:
    server = fresh_server(ROOST_TELEMETRY_RATE="60")
    with register_user(server) as user:
        device = register_device(user)
        bridge(user, own_broker, sources=[{"topic": "out/{device}"}])
        maker = makers(own_broker)
        for number in range(62):
            maker.say(f"out/{device.uid}", f'{{"n": {number}}}')
        wait_until(lambda: len(stored(user, device)) == 62, 20, what="All messages")
        assert sorted(stored(user, device)) == list(range(62))
