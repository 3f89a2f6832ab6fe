"""Several processes on one NATS and one PostgreSQL: what happens in one is true in the others at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx2
import pytest

from roost.core.clock import SystemClock
from roost.telemetry.log import ANY
from roost.telemetry.postgres_log import PostgresLog
from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.live.conftest import connect_live
from tests.many.conftest import Processes
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import until, wait_until

_SUCCESS = 0


class Hub(NamedTuple):
    """Two of each; the first is `roost run`, which does all parts of the work."""

    apis: list[RoostServer]
    mqtts: list[RoostServer]
    workers: list[RoostServer]


@pytest.fixture(scope="module")
def hub(processes: Processes) -> Hub:
    # One that sets the database up, so that the others find it done.
    (first,) = processes.start("run", ROOST_TELEMETRY_RATE="10", counted=True)
    api, mqtt, worker = processes.start("api", "mqtt", "worker", ROOST_TELEMETRY_RATE="10")
    return Hub([first, api], [first, mqtt], [first, worker])


@pytest.fixture
def user(hub: Hub) -> Iterator[UserClient]:
    with register_user(hub.apis[0]) as somebody:
        yield somebody


@pytest.fixture
def device(user: UserClient) -> RegisteredDevice:
    return register_device(user)


def send(server: RoostServer, device: RegisteredDevice, document: object) -> httpx2.Response:
    return httpx2.post(
        f"{server.url}/api/v1/telemetry", json=document, headers=device.headers, timeout=30, trust_env=False
    )  # fmt: skip


def at(server: RoostServer, user: UserClient) -> UserClient:
    """The same user at another process."""
    session = {
        "access_token": user.access_token,
        "refresh_token": user.refresh_token,
        "scope": user.scope,
        "user": user.profile,
    }
    return UserClient(server, user.email, user.password, session)


async def publish(server: RoostServer, device: RegisteredDevice, body: bytes) -> int:
    """The reason code of the PUBACK."""
    client = await RawClient.open(server.mqtt_port)
    try:
        await client.sign_in(device.token, 5, client_id=device.uid, user_name=str(device.id))
        await client.send(wire.publish(f"devices/{device.id}/telemetry", body, 1, version=5))
        return (await client.receive()).reason
    finally:
        await client.close()


def test_work_ordered_at_one_process_reaches_who_waits_at_another(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    def order() -> int:
        return int(user.post(f"/devices/{device.id}/tasks", json={"type": "blink"}).json()["id"])

    def poll(server: RoostServer, wait_s: int) -> list[int]:
        url = f"{server.url}/api/v1/tasks/poll?limit=10&wait={wait_s}"
        answer = httpx2.post(url, headers=device.headers, timeout=40, trust_env=False, verify=False)
        assert answer.status_code == 200, answer.text
        return [task["id"] for task in answer.json()]

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(poll, server, 30) for server in hub.apis]
        ordered = {order()}
        # Both are woken, and one of them gets it; the other waits for the next one.
        wait_until(lambda: any(one.done() for one in waiting), timeout_s=20)
        ordered.add(order())
        got = [task_id for one in waiting for task_id in one.result()]
    assert sorted(got) == sorted(ordered)


def numbers(user: httpx2.Client, device: RegisteredDevice) -> list[object]:
    rows = user.get(f"/devices/{device.id}/readings", params={"limit": 500})
    assert rows.status_code == 200, rows.text
    return sorted(row["value"] for row in rows.json())


async def test_what_comes_over_mqtt_is_heard_at_one_api_and_read_at_the_other(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    with connect_live(hub.apis[1], token=user.access_token) as live:
        assert await publish(hub.mqtts[0], device, b'{"n": 1}') == _SUCCESS
        assert live.receive()["readings"][0]["value"] == 1
        assert await publish(hub.mqtts[1], device, b'{"n": 2}') == _SUCCESS
        assert live.receive()["readings"][0]["value"] == 2
    with at(hub.apis[1], user) as elsewhere:
        assert numbers(elsewhere, device) == numbers(user, device) == [1, 2]
        assert elsewhere.get(f"/devices/{device.id}/readings/latest").json()[0]["value"] == 2


async def test_what_comes_over_http_is_heard_by_mqtt_subscribers(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    client = await RawClient.open(hub.mqtts[1].mqtt_port)
    try:
        await client.sign_in(user.access_token, 5, client_id="reader", user_name="user")
        await client.send(wire.subscribe(f"devices/{device.id}/telemetry", version=5))
        assert (await client.receive()).codes[0] == _SUCCESS
        answer = send(hub.apis[0], device, {"n": 7})
        assert (answer.status_code, answer.json()) == (202, {"status": "queued", "count": 1})
        topic, payload, _ = (await client.receive()).message(5)
        assert topic == f"devices/{device.id}/telemetry"
        assert b"7" in payload
    finally:
        await client.close()


async def test_what_is_desired_at_one_reaches_the_device_at_another_and_its_log_comes_back(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    client = await RawClient.open(hub.mqtts[1].mqtt_port)
    try:
        await client.sign_in(device.token, 5, client_id=device.uid, user_name=str(device.id))
        await client.send(wire.subscribe("devices/me/shadow/delta", version=5))
        assert (await client.receive()).codes[0] == _SUCCESS
        assert user.put(f"/devices/{device.id}/shadow", json={"desired": {"led": True}}).status_code == 200
        assert b'"delta":{"led":true}' in (await client.receive()).message(5)[1]
        with connect_live(hub.apis[0], "/ws/device-logs", user.access_token) as live:
            await client.send(wire.publish("devices/me/logs", b'{"message": "On it"}', 1, version=5))
            assert live.receive()["message"] == "On it"
    finally:
        await client.close()


def test_a_token_that_was_revoked_at_one_is_refused_at_the_other(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    for api in hub.apis:
        assert send(api, device, {"n": 1}).status_code == 202
    assert user.delete(f"/devices/{device.id}/token").status_code == 204
    wait_until(lambda: send(hub.apis[1], device, {"n": 2}).status_code == 401, 0.8, what="The refusal")
    assert send(hub.apis[0], device, {"n": 2}).status_code == 401


async def test_a_revoked_token_cuts_the_connection_at_another_process(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    client = await RawClient.open(hub.mqtts[0].mqtt_port)
    await client.sign_in(device.token, 5, client_id=device.uid, user_name=str(device.id))
    assert user.delete(f"/devices/{device.id}/token").status_code == 204
    assert (await client.receive()).kind == 14
    await client.close()


def test_signing_out_at_one_closes_the_socket_at_the_other(hub: Hub, user: UserClient) -> None:
    with connect_live(hub.apis[1], token=user.access_token) as live:
        assert user.post("/auth/logout", json={"refresh_token": user.refresh_token}).status_code == 204
        assert live.closing()[0] == 4401


def test_the_rate_counts_what_all_processes_let_through(hub: Hub, user: UserClient, device: RegisteredDevice) -> None:
    statuses = [send(hub.apis[n % 2], device, {"n": n}).status_code for n in range(24)]
    # Each for itself would let ten through. Each may be asked before it has heard of the other's last one, and every
    # six seconds there is room for one more.
    assert 10 <= statuses.count(202) <= 14
    assert statuses[-1] == 429


def test_wrong_passwords_are_counted_by_all(hub: Hub, user: UserClient) -> None:
    wrong = {"email": user.email, "password": "not-the-one"}
    statuses = [
        httpx2.post(f"{hub.apis[n % 2].url}/api/v1/auth/login", json=wrong, timeout=30, trust_env=False).status_code
        for n in range(9)
    ]
    assert 6 <= statuses.count(401) <= 7
    assert statuses[-1] == 429


async def test_a_device_that_connects_to_another_process_stays_online(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    with connect_live(hub.apis[0], "/api/v1/ws/device-status", user.access_token) as live:
        first = await RawClient.open(hub.mqtts[0].mqtt_port)
        await first.sign_in(device.token, 5, client_id=device.uid, user_name=str(device.id))
        assert live.receive()["status"] == "online"
        second = await RawClient.open(hub.mqtts[1].mqtt_port)
        await second.sign_in(device.token, 5, client_id=device.uid, user_name=str(device.id))
        taken_over = await first.receive()
        assert (taken_over.kind, taken_over.body[0]) == (14, 0x8E)
        await first.close()
        await second.close()
        # The first word about it after "online": nothing was said in between.
        assert live.receive()["status"] == "offline"


async def test_deleting_a_device_takes_its_telemetry_along(
    hub: Hub, user: UserClient, device: RegisteredDevice
) -> None:
    store = PostgresLog(hub.apis[0].database_url, SystemClock())

    async def stored() -> int:
        return len(await store.recent([device.id], 10, ANY))

    assert send(hub.apis[0], device, {"n": 1}).status_code == 202
    await until(stored, what="The message in the store")
    assert user.delete(f"/devices/{device.id}").status_code == 204

    async def gone() -> bool:
        return not await stored()

    await until(gone, what="An empty store")
    await store.close()


def test_processes_without_an_api_answer_for_their_health_alone(hub: Hub) -> None:
    for server in (hub.mqtts[1], hub.workers[1]):
        assert httpx2.get(f"{server.url}/api/v1/readyz", trust_env=False).status_code == 200
        assert httpx2.get(f"{server.url}/api/v1/devices", trust_env=False).status_code == 404


def test_the_smoke_test_finds_the_whole_of_a_hub(hub: Hub) -> None:
    done = hub.apis[1].run_command("smoke", "--url", hub.apis[1].url)
    assert done.returncode == 0, done.stdout + done.stderr
