"""A subscriber whose grants change gets nothing until it is known what is left."""

import asyncio
import json
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from roost.access.principals import Grant, UserPrincipal
from roost.devices.identity import DeviceIdentity
from tests.colleagues import join, own_organization
from tests.conftest import UserClient, register_device
from tests.mqtt import wire
from tests.mqtt.conftest import USER, Endpoint
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import until

TOPIC = "devices/7/telemetry"
CHANGED = {"user_id": USER.user_id}


async def subscribed(endpoint: Endpoint) -> RawClient:
    reader = await endpoint.user(5)
    await reader.send(wire.subscribe("devices/+/telemetry", version=5))
    assert (await reader.receive()).kind == 9
    return reader


async def say(device: RawClient, packet_id: int) -> None:
    """Send a message and wait until it is stored, which is when subscribers have been told."""
    body = json.dumps({"event_type": "count", "payload": {"n": packet_id}}).encode()
    await device.send(wire.publish(TOPIC, body, packet_id))
    assert (await device.receive()).packet_id == packet_id


def slow_looks(endpoint: Endpoint) -> asyncio.Event:
    """From now on the hub finds out a user's grants when this is set."""
    gate, plain = asyncio.Event(), endpoint.server.authentication.authenticate_user

    async def slowly(token: str) -> UserPrincipal:
        await gate.wait()
        return await plain(token)

    endpoint.server.authentication.authenticate_user = slowly
    return gate


async def change_grants(endpoint: Endpoint, principal: UserPrincipal, *meanwhile: RawClient) -> None:
    """Change the reader's grants; while the hub looks at them these devices speak."""
    gate = slow_looks(endpoint)
    endpoint.bus.publish("user.grants_changed", CHANGED)
    for device in meanwhile:
        await say(device, 1)
    endpoint.principal = principal
    gate.set()
    (session,) = endpoint.server.registry.users()
    await until(lambda: session.user == endpoint.principal and not session.in_doubt)


async def test_what_came_while_grants_were_looked_at_is_sent_if_they_still_reach_it(endpoint: Endpoint) -> None:
    reader, device = await subscribed(endpoint), await endpoint.device()
    await change_grants(endpoint, replace(USER, grants=(Grant("viewer", 3),)), device)
    await say(device, 2)
    payloads = [(await reader.receive()).message(5)[1] for _ in range(2)]
    assert [json.loads(payload)["payload"] for payload in payloads] == [{"n": 1}, {"n": 2}]


async def test_what_came_while_grants_were_looked_at_is_not_sent_if_they_reach_it_no_more(endpoint: Endpoint) -> None:
    reader, device = await subscribed(endpoint), await endpoint.device()
    await change_grants(endpoint, replace(USER, grants=(Grant("viewer", 99),)), device)
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_last_values_wait_for_the_look_too(endpoint: Endpoint) -> None:
    endpoint.directory.lasts = {(7, "telemetry"): b'{"last":1}'}
    reader, began = await endpoint.user(5), asyncio.Event()

    async def begin() -> None:
        endpoint.directory.before_last = None
        endpoint.bus.publish("user.grants_changed", CHANGED)
        began.set()

    gate = slow_looks(endpoint)
    endpoint.directory.before_last = begin
    await reader.send(wire.subscribe("devices/+/telemetry", version=5))
    assert (await reader.receive()).kind == 9
    await began.wait()
    gate.set()
    topic, payload, retained = (await reader.receive()).message(5)
    assert (topic, payload, retained) == (TOPIC, b'{"last":1}', True)


async def test_a_change_during_the_look_is_seen_too(endpoint: Endpoint) -> None:
    reader, device = await subscribed(endpoint), await endpoint.device()
    looks, gates = [], [asyncio.Event(), asyncio.Event()]
    principals = [USER, replace(USER, grants=(Grant("viewer", 99),)), replace(USER, grants=(Grant("viewer", 99),))]

    async def look(token: str) -> object:
        looks.append(token)
        found = principals[len(looks) - 1]
        if len(looks) <= len(gates):
            await gates[len(looks) - 1].wait()
        return found

    endpoint.server.authentication.authenticate_user = look  # type: ignore[assignment]
    endpoint.bus.publish("user.grants_changed", CHANGED)
    await until(lambda: len(looks) == 1)
    endpoint.bus.publish("user.grants_changed", CHANGED)
    await until(lambda: len(looks) == 2)
    gates[0].set()
    await until(lambda: len(looks) == 3)
    gates[1].set()
    (session,) = endpoint.server.registry.users()
    await until(lambda: not session.in_doubt)
    await say(device, 1)
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_a_look_that_takes_long_brings_no_old_grants_back(endpoint: Endpoint) -> None:
    """The first look reads what was before a change, and answers after the change has been looked at and settled."""
    reader, device = await subscribed(endpoint), await endpoint.device()
    (session,) = endpoint.server.registry.users()
    looks, slow = [], asyncio.Event()
    gone = replace(USER, grants=(Grant("viewer", 99),))

    async def look(token: str) -> UserPrincipal:
        looks.append(token)
        if len(looks) == 1:
            await slow.wait()
            return USER
        return gone

    endpoint.server.authentication.authenticate_user = look
    for count in (1, 2):
        endpoint.bus.publish("user.grants_changed", CHANGED)
        await until(lambda count=count: len(looks) >= count)  # type: ignore[misc]
    await until(lambda: session.user == gone and not session.in_doubt)
    slow.set()
    await until(lambda: len(looks) == 3)
    await say(device, 1)
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13
    assert session.user == gone


@pytest.mark.parametrize("error", [OSError("connection refused"), PoolTimeout("QueuePool limit of size 4 reached")])
async def test_who_cannot_be_judged_is_sent_away(endpoint: Endpoint, error: Exception) -> None:
    reader = await subscribed(endpoint)
    endpoint.user_error = error
    endpoint.bus.publish("user.grants_changed", CHANGED)
    answer = await reader.receive()
    assert (answer.kind, answer.reason) == (14, 0x89)


async def test_the_last_value_of_a_device_that_is_given_away_meanwhile_is_kept_back(endpoint: Endpoint) -> None:
    endpoint.directory.lasts = {(7, "telemetry"): b'{"last":7}', (8, "telemetry"): b'{"last":8}'}
    visible = endpoint.directory.visible

    async def without_the_other(user: UserPrincipal, name: str | None, scope: str) -> list[DeviceIdentity]:
        return [one for one in await visible(user, name, scope) if one.device_id != 8]

    async def give_away() -> None:
        endpoint.directory.before_last = None
        endpoint.directory.visible = without_the_other  # type: ignore[method-assign]
        endpoint.directory.lasts[8, "telemetry"] = b'{"secret":1}'
        endpoint.bus.publish("device.updated", {"device_id": 8, "organization_id": 99})

    endpoint.directory.before_last = give_away
    reader = await endpoint.user(5)
    await reader.send(wire.subscribe("devices/+/telemetry", version=5))
    assert (await reader.receive()).kind == 9
    assert (await reader.receive()).message(5)[1] == b'{"last":7}'
    await reader.send(wire.PING)
    assert (await reader.receive()).kind == 13


async def test_a_device_that_cannot_be_looked_up_connects_again(endpoint: Endpoint) -> None:
    device = await endpoint.device(5)

    async def fail(*_: object) -> None:
        raise OSError("connection refused")

    endpoint.directory.find = fail  # type: ignore[method-assign, assignment]
    endpoint.bus.publish("device.updated", {"device_id": 7, "organization_id": 99})
    answer = await device.receive()
    assert (answer.kind, answer.reason) == (14, 0x89)


async def test_through_the_whole_hub(server: RoostServer, user: UserClient) -> None:
    """A member who is removed hears nothing more of the organization; a deactivated one is sent away."""
    organization_id, home_id = own_organization(user)
    device = register_device(user, home_id=home_id)
    with (
        join(server, user, organization_id, "viewer") as member,
        join(server, user, organization_id, "viewer") as other,
    ):
        readers = []
        for somebody in (member, other):
            reader = await RawClient.open(server.mqtt_port)
            assert (await reader.sign_in(somebody.access_token, 5, user_name=somebody.email)).reason == 0
            await reader.send(wire.subscribe("devices/+/telemetry", version=5))
            assert (await reader.receive()).kind == 9
            readers.append(reader)
        removal = f"/organizations/{organization_id}/members/{member.profile['id']}"
        assert user.delete(removal).status_code == 204
        url = f"{server.url}/api/v1/telemetry"
        assert httpx2.post(url, json={"n": 1}, headers=device.headers, trust_env=False, verify=False).status_code == 201
        assert b'"n"' in (await readers[1].receive()).body
        await readers[0].send(wire.PING)
        assert (await readers[0].receive()).kind == 13
        assert user.patch(f"/users/{other.profile['id']}", json={"is_active": False}).status_code == 200
        answer = await readers[1].receive()
        assert (answer.kind, answer.reason) == (14, 0x87)
        for reader in readers:
            await reader.close()
