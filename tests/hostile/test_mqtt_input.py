"""Bad MQTT against the running server; `tests/mqtt/test_bad_input.py` has each malformed packet by itself."""

import asyncio
import random
import time
from contextlib import suppress

import httpx2
import psutil
import pytest

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.hostile.test_http_input import REFUSED
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import until

TOPIC = "devices/me/telemetry"
_PUBACK = 4
_QUOTA_EXCEEDED, _INVALID = 0x97, 0x99
_MAY_GROW_BYTES = 24 * 1024 * 1024
_LATENCY_S = 2.0


async def _device(server: RoostServer, device: RegisteredDevice, version: int = 4) -> RawClient:
    client = await RawClient.open(server.mqtt_port)
    answer = await client.sign_in(device.token, version, user_name=device.uid, client_id=device.uid)
    assert answer.reason == 0
    return client


async def _publish(client: RawClient, body: bytes, packet_id: int, version: int = 4) -> wire.Packet:
    await client.send(wire.publish(TOPIC, body, packet_id, version=version))
    return await client.receive()


async def test_every_bad_payload_is_refused_as_over_http(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    """MQTT 5 gets a reason; 3.1.1 a PUBACK, so that it does not send for ever, and a line in the device's log."""
    other = register_device(user)
    five, three = await _device(server, device, 5), await _device(server, other, 4)
    small = {name: body for name, (body, _) in REFUSED.items() if len(body) < 60_000}
    wrong = {}
    for packet_id, (name, body) in enumerate(small.items(), 1):
        told = await _publish(five, body, packet_id, 5)
        if (told.kind, told.packet_id) != (_PUBACK, packet_id) or told.reason not in {_INVALID, _QUOTA_EXCEEDED}:
            wrong[name] = told
        taken = await _publish(three, body, packet_id, 4)
        if (taken.kind, taken.packet_id, len(taken.body)) != (_PUBACK, packet_id, 2):
            wrong[name] = taken
    assert wrong == {}
    for client, version in ((five, 5), (three, 4)):
        assert (await _publish(client, b'{"good": 1}', 999, version)).reason == 0
        await client.close()
    for one in (device, other):
        assert [reading["sensor_type"] for reading in user.get(f"/devices/{one.id}/readings").json()] == ["good"]
    lines = await until(lambda: user.get(f"/devices/{other.id}/logs").json(), 20, what="A line in the device's log")
    assert any("refused" in line["message"] for line in lines)


async def test_a_device_that_is_deleted_while_it_publishes(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    neighbour = register_device(user)
    beside, client = await _device(server, neighbour), await _device(server, device)
    deleted = asyncio.Event()
    answered = 0

    async def publish() -> None:
        nonlocal answered
        while True:
            try:
                answer = await _publish(client, b'{"n": %d}' % answered, answered % 60_000 + 1)
            except (OSError, asyncio.IncompleteReadError):
                return
            assert answer.kind == _PUBACK
            answered += 1
            if answered > 20:
                deleted.set()

    publishing = asyncio.create_task(publish())
    await deleted.wait()
    assert (await asyncio.to_thread(user.delete, f"/devices/{device.id}")).status_code == 204
    await asyncio.wait_for(publishing, 20)
    await client.close()
    again = await RawClient.open(server.mqtt_port)
    assert (await again.sign_in(device.token, user_name=device.uid)).reason != 0
    await again.close()
    assert (await _publish(beside, b'{"n": 1}', 1)).reason == 0
    await beside.close()
    assert {one["device_id"] for one in user.get("/telemetry").json()} == {neighbour.id}


@pytest.mark.parametrize("connections", [150, pytest.param(5_000, marks=pytest.mark.soak, id="many")])
async def test_random_and_mangled_packets_harm_nobody_else(
    server: RoostServer, user: UserClient, device: RegisteredDevice, connections: int
) -> None:
    """Good packets with flipped bits, cut short, in any order, before and after signing in."""
    chance = random.Random(connections)
    bad = register_device(user)
    good = await _device(server, device)
    for number in range(connections):
        client = await RawClient.open(server.mqtt_port)
        with suppress(OSError, asyncio.IncompleteReadError):
            if number % 2:
                await client.sign_in(bad.token, chance.choice((4, 5)), user_name=bad.uid)
            await client.send(*(_mangled(chance, bad) for _ in range(4)))
        if number % 3 == 0:
            client.writer.write_eof()
            await client.rest()
        await client.close()
        if number % 10 == 0:
            assert (await _publish(good, b'{"n": %d}' % number, number + 1)).reason == 0
    await good.close()


def _mangled(chance: random.Random, device: RegisteredDevice) -> bytes:
    version = chance.choice((4, 5))
    packet = bytearray(
        chance.choice(
            (
                wire.connect(version, password=device.token, user_name=device.uid),
                wire.publish(TOPIC, b'{"n": 1}', 7, version=version),
                wire.publish(TOPIC, b'{"n": 1}', None, qos=0, version=version),
                wire.subscribe("devices/me/tasks", version=version),
                wire.unsubscribe("devices/me/tasks", version=version),
                wire.PING,
                chance.randbytes(chance.randrange(1, 40)),
            )
        )
    )
    for _ in range(chance.randrange(4)):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    return bytes(packet[: chance.randrange(1, len(packet) + 1)] if chance.random() < 0.3 else packet)


async def test_sixty_messages_a_minute_whatever_the_transport(fresh_server: FreshServer) -> None:
    """The 61st: 429 over HTTP, PUBACK 0x97 with MQTT 5, an end without PUBACK with 3.1.1."""
    server = fresh_server(ROOST_TELEMETRY_RATE="60")
    with register_user(server) as user:
        await _http_allowance(server, register_device(user))
        await _mqtt_allowance(server, register_device(user), 5)
        await _mqtt_allowance(server, register_device(user), 4)
        await _shared_allowance(server, register_device(user))


async def _http_allowance(server: RoostServer, device: RegisteredDevice, *, used: int = 0) -> None:
    started, accepted = time.monotonic(), used
    url = f"{server.url}/api/v1/telemetry"
    async with httpx2.AsyncClient(headers=device.headers, timeout=30, trust_env=False, verify=False) as client:
        while (answer := await client.post(url, json={"n": accepted})).status_code == 201:
            accepted += 1
    assert answer.status_code == 429
    assert answer.json()["code"] == "telemetry_rate"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    _assert_allowance(accepted, started)


async def _mqtt_allowance(server: RoostServer, device: RegisteredDevice, version: int) -> None:
    started, accepted = time.monotonic(), 0
    client = await _device(server, device, version)
    answer: wire.Packet | None = None
    with suppress(OSError, asyncio.IncompleteReadError):
        while (answer := await _publish(client, b'{"n": 1}', accepted + 1, version)).reason == 0:
            accepted += 1
            answer = None
    _assert_allowance(accepted, started)
    if version == 4:
        assert answer is None
    else:
        assert answer is not None
        assert (answer.kind, answer.packet_id, answer.reason) == (_PUBACK, accepted + 1, _QUOTA_EXCEEDED)
    await client.close()


async def _shared_allowance(server: RoostServer, device: RegisteredDevice) -> None:
    client = await _device(server, device, 5)
    for packet_id in range(1, 41):
        assert (await _publish(client, b'{"n": 1}', packet_id, 5)).reason == 0
    await client.close()
    await _http_allowance(server, device, used=40)


def _assert_allowance(accepted: int, started: float) -> None:
    """Sixty at once, and one more for every second that the test itself took."""
    assert 60 <= accepted <= 60 + (time.monotonic() - started) + 2


@pytest.mark.parametrize("attempts", [1_500, pytest.param(10_000, marks=pytest.mark.soak, id="ten-thousand")])
async def test_thousands_of_wrong_passwords_disturb_nobody(fresh_server: FreshServer, attempts: int) -> None:
    """At least 10,000 a minute, unless this machine is too busy to send them; a device beside them goes on."""
    server = fresh_server()
    with register_user(server) as user:
        good = await _device(server, register_device(user))
        waits: list[float] = []
        attacking = asyncio.create_task(_attack(server, 200))
        await attacking
        before = psutil.Process(server.pid).memory_info().rss
        attacking = asyncio.create_task(_attack(server, attempts))
        while not attacking.done():
            started = time.monotonic()
            assert (await _publish(good, b'{"n": 1}', len(waits) % 60_000 + 1)).reason == 0
            waits.append(time.monotonic() - started)
        assert await attacking == 0
        await good.close()
        assert max(waits) < _LATENCY_S
        assert psutil.Process(server.pid).memory_info().rss - before < _MAY_GROW_BYTES


async def _attack(server: RoostServer, attempts: int) -> int:
    """Connects with wrong passwords, 20 at a time; returns how many were let in."""
    numbers = iter(range(attempts))

    async def try_on() -> int:
        let_in = 0
        for number in numbers:
            client = await RawClient.open(server.mqtt_port)
            token = f"rdt_{number:043d}"
            with suppress(OSError, asyncio.IncompleteReadError):
                answer = await client.sign_in(token, 4 + number % 2, user_name="1", client_id=f"attacker-{number}")
                let_in += answer.reason == 0
            await client.close()
        return let_in

    return sum(await asyncio.gather(*(try_on() for _ in range(20))))
