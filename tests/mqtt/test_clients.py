"""Clients that nobody here wrote, against the whole hub on both databases: paho, aiomqtt, Mosquitto's tools."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal, Self

import aiomqtt
import httpx2
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import until, wait_until

Transport = Literal["tcp", "websockets"]
V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
EVERY_WAY = [(V311, "tcp"), (V311, "websockets"), (V5, "tcp"), (V5, "websockets")]


def _port(server: RoostServer, transport: Transport) -> int:
    return server.mqtt_port if transport == "tcp" else server.port


class PahoClient:
    """A paho client and what it heard."""

    def __init__(
        self, server: RoostServer, protocol: MQTTProtocolVersion, transport: Transport, user: str, password: str
    ) -> None:
        self.answers: list[Any] = []
        self.published: dict[int, Any] = {}
        self.messages: list[paho.MQTTMessage] = []
        self.goodbyes: list[Any] = []
        self.granted: list[Any] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            f"paho-{user}",
            protocol=protocol,
            transport=transport,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(user, password)
        self.client.ws_set_options("/mqtt")
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.answers.append(reason)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.published.__setitem__(mid, reason)
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.extend(reasons)
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.goodbyes.append(reason)
        self.client.connect("127.0.0.1", _port(server, transport), keepalive=30)
        self.client.loop_start()
        wait_until(lambda: self.answers, what="CONNACK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, document: Any) -> Any:
        """Publishes with QoS 1 and returns the reason in the PUBACK."""
        info = self.client.publish(topic, json.dumps(document), qos=1)
        return wait_until(lambda: self.published.get(info.mid), what="PUBACK")


def _recent(user: httpx2.Client, device: RegisteredDevice) -> list[dict[str, Any]]:
    answer = user.get(f"/devices/{device.id}/telemetry/recent", params={"limit": 50})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.parametrize(("protocol", "transport"), [(V311, "tcp"), (V5, "websockets")])
def test_paho_has_a_shadow(
    server: RoostServer, user: UserClient, device: RegisteredDevice, protocol: MQTTProtocolVersion, transport: Transport
) -> None:
    path = f"/devices/{device.id}/shadow"
    user.put(path, json={"desired": {"led": True, "rate": 5}})

    def heard() -> tuple[Any, bool]:
        message = wait_until(lambda: client.messages, what="a delta").pop(0)
        return json.loads(message.payload), message.retain

    with PahoClient(server, protocol, transport, device.uid, device.token) as client:
        client.client.subscribe("devices/me/shadow/delta", qos=1)
        first = {"delta": {"led": True, "rate": 5}, "version": 1, "desired_version": 1, "reported_version": 0}
        assert heard() == (first, True)
        assert not client.publish("devices/me/shadow/reported", {"led": True}).is_failure
        second = {"delta": {"rate": 5}, "version": 2, "desired_version": 1, "reported_version": 1}
        assert heard() == (second, False)
        user.patch(path, json={"desired": {"rate": 6}})
        assert heard()[0]["delta"] == {"rate": 6}
        client.publish("devices/me/shadow/reported", {"rate": 6})
        user.patch(path, json={"desired": {"rate": None}})
        assert heard()[0]["delta"] == {}, "what was done is not told; that nothing is wanted any more is"
        shadow = user.get(path).json()
        assert (shadow["reported"], shadow["reported_version"]) == ({"led": True, "rate": 6}, 2)
        assert client.publish("devices/me/shadow/reported", [1]).is_failure is (protocol == V5)
        assert user.get(path).json() == shadow
        line = wait_until(lambda: user.get(f"/devices/{device.id}/logs").json(), what="a line")[0]
        assert "A shadow is a JSON object" in line["message"]


@pytest.mark.parametrize(("protocol", "transport"), EVERY_WAY)
def test_paho(
    server: RoostServer, user: UserClient, device: RegisteredDevice, protocol: MQTTProtocolVersion, transport: Transport
) -> None:
    with PahoClient(server, protocol, transport, str(device.id), device.token) as client:
        assert not client.answers[0].is_failure
        assert not client.publish(
            f"devices/{device.id}/telemetry", {"event_type": "boot", "payload": {"a": 1}}
        ).is_failure
        # A PUBACK is a 201: visible to the next GET.
        assert [message["payload"] for message in _recent(user, device)] == [{"a": 1}]
        readings = {"readings": [{"sensor_type": "temp_c", "value": 21.5, "unit": "C"}]}
        client.publish("devices/me/readings", readings)
        latest = user.get(f"/devices/{device.id}/readings/latest").json()
        assert ("temp_c", 21.5, "C") in {(one["sensor_type"], one["value"], one["unit"]) for one in latest}
        client.publish("devices/me/status", {"status": "updating", "detail": "1.1"})
        status = user.get(f"/devices/{device.id}/status").json()
        assert (status["status"], status["reason"], status["transports"]) == ("updating", "1.1", ["mqtt"])
        client.publish("devices/me/logs", [{"level": "warning", "message": "hot"}])
        lines = user.get(f"/devices/{device.id}/logs").json()
        assert [(line["level"], line["message"], line["source"]) for line in lines] == [("warning", "hot", "device")]
        refused = client.publish("devices/999999/telemetry", {"payload": {"a": 1}})
        assert refused.is_failure is (protocol == V5)
        client.client.subscribe(
            [("devices/me/tasks", SubscribeOptions(1)), ("#", SubscribeOptions(1))]
            if protocol == 5
            else [("devices/me/tasks", 1), ("#", 1)]
        )
        granted = wait_until(lambda: client.granted)
        assert [reason.is_failure for reason in granted] == [False, True]
    wait_until(lambda: user.get(f"/devices/{device.id}/status").json()["status"] == "offline")
    assert len(_recent(user, device)) >= 1


@pytest.mark.parametrize(("protocol", "transport"), EVERY_WAY)
def test_paho_with_a_wrong_password(
    server: RoostServer, device: RegisteredDevice, protocol: MQTTProtocolVersion, transport: Transport
) -> None:
    client = PahoClient(server, protocol, transport, str(device.id + 100_000), device.token)
    assert client.answers[0].is_failure
    client.client.loop_stop()


def test_paho_v5_properties(server: RoostServer, user: UserClient, device: RegisteredDevice) -> None:
    with PahoClient(server, V5, "tcp", device.uid, device.token) as client:
        for number in range(3):
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.TopicAlias = 3
            properties.UserProperty = ("unit", "C")
            body = json.dumps({"payload": {"n": number}})
            topic = "devices/me/telemetry" if number == 0 else ""
            client.client.publish(topic, body, qos=1, properties=properties)
        wait_until(lambda: len(client.published) == 3)
    values = user.get(f"/devices/{device.id}/readings", params={"sensor_type": "n"}).json()
    assert sorted(one["value"] for one in values) == [0, 1, 2]


@pytest.mark.parametrize(("protocol", "transport"), EVERY_WAY)
def test_a_revoked_token_ends_the_connection(
    server: RoostServer, user: UserClient, device: RegisteredDevice, protocol: MQTTProtocolVersion, transport: Transport
) -> None:
    with PahoClient(server, protocol, transport, str(device.id), device.token) as client:
        assert user.delete(f"/devices/{device.id}/token").status_code in {200, 204}
        wait_until(lambda: client.goodbyes, what="The end of the connection")
    again = PahoClient(server, protocol, transport, str(device.id), device.token)
    assert again.answers[0].is_failure
    again.client.loop_stop()


@pytest.mark.parametrize(("protocol", "transport"), EVERY_WAY)
async def test_aiomqtt(
    server: RoostServer, user: UserClient, device: RegisteredDevice, protocol: MQTTProtocolVersion, transport: Transport
) -> None:
    common: dict[str, Any] = {
        "hostname": "127.0.0.1",
        "port": _port(server, transport),
        "transport": transport,
        "websocket_path": "/mqtt",
        "protocol": aiomqtt.ProtocolVersion(protocol),
    }
    async with (
        aiomqtt.Client(username=user.email, password=user.access_token, **common) as reader,
        aiomqtt.Client(username=device.uid, password=device.token, **common) as speaker,
    ):
        await speaker.publish("devices/me/telemetry", '{"event_type":"first","payload":{"n":1}}', qos=1)
        await reader.subscribe("devices/+/events")
        await speaker.publish("devices/me/telemetry", '{"event_type":"second","payload":{"n":2}}', qos=1)
        seen: list[tuple[str, str, bool]] = []
        async with asyncio.timeout(10):
            async for message in reader.messages:
                assert isinstance(message.payload, bytes)
                seen.append((str(message.topic), json.loads(message.payload)["event_type"], message.retain))
                if seen[-1][1] == "second":
                    break
    topic = f"devices/{device.id}/events"
    assert seen[-1] == (topic, "second", False)
    assert seen[:-1] in ([], [(topic, "first", True)])


def _mosquitto(tool: str, server: RoostServer, name: str, password: str, version: str, *arguments: str) -> list[str]:
    path = shutil.which(tool)
    assert path, f"{tool} was not found: `make test-tools` installs it."
    credentials = ["-h", "127.0.0.1", "-p", str(server.mqtt_port), "-u", name, "-P", password, "-V", version]
    return [path, *credentials, *arguments]


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto(server: RoostServer, user: UserClient, device: RegisteredDevice, version: str) -> None:
    topic = f"devices/{device.id}/telemetry"
    body = '{"event_type":"boot","payload":{"temp_c":21}}'
    published = subprocess.run(
        _mosquitto("mosquitto_pub", server, str(device.id), device.token, version, "-q", "1", "-t", topic, "-m", body),
        check=False, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (published.returncode, published.stderr) == (0, "")
    arguments = ["-C", "1", "-W", "10", "-F", "%t %r %p", "-t", "devices/+/telemetry"]
    read = subprocess.run(
        _mosquitto("mosquitto_sub", server, user.email, user.access_token, version, *arguments),
        check=False, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    got_topic, retained, payload = read.stdout.strip().split(" ", 2)
    assert (got_topic, retained, json.loads(payload)["payload"]) == (topic, "1", {"temp_c": 21})


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_is_told_why(server: RoostServer, device: RegisteredDevice, version: str) -> None:
    refused = subprocess.run(
        _mosquitto("mosquitto_pub", server, str(device.id), "rdt_" + "x" * 43, version, "-t", "a", "-m", "b"),
        check=False, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "not authori" in refused.stderr.lower() or "bad user" in refused.stderr.lower(), refused.stderr


async def test_a_user_reads_devices_of_nobody_else(server: RoostServer, user: UserClient) -> None:
    with register_user(server) as stranger:
        theirs = register_device(stranger)
        async with aiomqtt.Client(
            "127.0.0.1", server.mqtt_port, username=user.email, password=user.access_token,
            protocol=aiomqtt.ProtocolVersion.V5,
        ) as reader:  # fmt: skip
            granted = await reader.subscribe(f"devices/{theirs.id}/telemetry")
            assert [getattr(code, "value", code) for code in granted] == [0x87]
        # The access token belongs to a session: signing out ends the connection.
        async with aiomqtt.Client(
            "127.0.0.1", server.mqtt_port, username=stranger.email, password=stranger.access_token
        ) as reader:
            await reader.subscribe("devices/+/telemetry")
            answer = stranger.post("/auth/logout", json={"refresh_token": stranger.refresh_token})
            assert answer.status_code in {200, 204}
            async with asyncio.timeout(10):
                with pytest.raises(aiomqtt.MqttError):
                    await anext(aiter(reader.messages))


async def test_many_devices_publish_at_once(server: RoostServer, user: UserClient) -> None:
    """On the event loop of production, and everything acknowledged can be read."""
    devices = [register_device(user) for _ in range(8)]

    async def speak(device: RegisteredDevice) -> None:
        async with aiomqtt.Client("127.0.0.1", server.mqtt_port, username=device.uid, password=device.token) as client:
            await asyncio.gather(
                *(client.publish("devices/me/telemetry", json.dumps({"payload": {"n": n}}), qos=1) for n in range(100))
            )

    await asyncio.gather(*(speak(device) for device in devices))
    for device in devices:
        params: dict[str, str | int] = {"sensor_type": "n", "limit": 500}
        values = user.get(f"/devices/{device.id}/readings", params=params).json()
        assert sorted(one["value"] for one in values) == list(range(100))


def test_tls_for_both(fresh_server: FreshServer, certificate: tuple[Path, Path]) -> None:
    server = fresh_server(ROOST_TLS_CERT=str(certificate[0]), ROOST_TLS_KEY=str(certificate[1]))
    path = shutil.which("mosquitto_pub")
    assert path, "mosquitto_pub was not found: `make test-tools` installs it."
    refused = subprocess.run(
        _mosquitto("mosquitto_pub", server, "1", "x", "mqttv5", "--cafile", str(certificate[0]), "-t", "a", "-m", "b"),
        check=False, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    # TLS stands, the password does not.
    assert "bad user" in refused.stderr.lower() or "not authori" in refused.stderr.lower(), refused.stderr


async def test_presence_follows_the_connection(server: RoostServer, user: UserClient, device: RegisteredDevice) -> None:
    def is_now(status: str) -> bool:
        return bool(user.get(f"/devices/{device.id}").json()["status"] == status)

    will = aiomqtt.Will("devices/me/status", "offline", qos=1)
    async with aiomqtt.Client("127.0.0.1", server.mqtt_port, username=device.uid, password=device.token, will=will):
        await until(lambda: is_now("online"))
    await until(lambda: is_now("offline"))


async def test_a_device_that_is_deleted_while_it_publishes(server: RoostServer, user: UserClient) -> None:
    doomed, other = register_device(user), register_device(user)
    clients = [await RawClient.open(server.mqtt_port) for _ in range(2)]
    for client, device in zip(clients, (doomed, other), strict=True):
        assert (await client.sign_in(device.token, 5, user_name=str(device.id))).reason == 0
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while True:
            sent += 1
            await clients[0].send(
                wire.publish("devices/me/telemetry", b'{"payload":{"n":1}}', sent % 60_000 + 1, version=5)
            )
            await asyncio.sleep(0.001)

    flooding = asyncio.create_task(flood())
    try:
        await until(lambda: sent > 100)
        deleting = asyncio.create_task(asyncio.to_thread(user.delete, f"/devices/{doomed.id}"))
        answers = await clients[0].rest()
        assert (await deleting).status_code == 204
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert b"\xe0" in answers, "it is told with a DISCONNECT"
    assert user.get(f"/devices/{doomed.id}").status_code == 404
    await clients[1].send(wire.publish("devices/me/telemetry", b'{"payload":{"n":2}}', version=5))
    assert (await clients[1].receive()).reason == 0
    again = await RawClient.open(server.mqtt_port)
    assert (await again.sign_in(doomed.token, 5, user_name=doomed.uid)).reason == 0x86
    for client in (*clients, again):
        await client.close()


async def test_stopping_the_hub_leaves_nothing_unsaid(fresh_server: FreshServer) -> None:
    """SIGTERM: what was acknowledged is there after the start, and MQTT 5 clients are told."""
    server = fresh_server()
    with register_user(server) as user:
        device = register_device(user)
        client = await RawClient.open(server.mqtt_port)
        await client.sign_in(device.token, 5, user_name=device.uid)
        packets = [
            wire.publish("devices/me/telemetry", b'{"payload":{"n":%d}}' % n, n, version=5) for n in range(1, 101)
        ]
        await client.send(*packets)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        answers = await client.rest()
        await stopping
        await client.close()
        acknowledged = set()
        while answers[:1] == b"\x40":
            acknowledged.add(int.from_bytes(answers[2:4], "big"))
            answers = answers[4:]
        assert answers[:1] == b"\xe0"
        assert answers[2] == 0x8B
        server.start()
        values = user.get(f"/devices/{device.id}/readings", params={"sensor_type": "n", "limit": 500}).json()
        assert acknowledged <= {one["value"] for one in values}
