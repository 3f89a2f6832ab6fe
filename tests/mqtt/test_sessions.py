"""What a well-behaved client may count on: acknowledgements, their order, take-over, wills, keep-alive, the end."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.core.errors import Invalid, Unavailable
from roost.mqtt import subscriptions
from roost.mqtt.connection import FULL, PACKET_LIMIT_BYTES, RECEIVE_MAXIMUM
from roost.telemetry import ingest as ingest_module
from tests.mqtt import wire
from tests.mqtt.conftest import OTHER_TOKEN, TOKEN, Endpoint
from tests.mqtt.wire import RawClient
from tests.waiting import until

TOPIC = "devices/me/telemetry"


def _body(number: int) -> bytes:
    return b'{"payload":{"n":%d}}' % number


# -- CONNECT


@pytest.mark.parametrize("name", ["7", "greenhouse-1"])
@pytest.mark.parametrize("version", [4, 5])
async def test_a_device_signs_in_with_its_id_or_uid(endpoint: Endpoint, version: int, name: str) -> None:
    client = await endpoint.device(version, user_name=name)
    await client.send(wire.PING)
    assert (await client.receive()).first == 0xD0
    assert endpoint.notes.presence == [("connected", 7, "mqtt")]


async def test_the_terms_of_mqtt_5(endpoint: Endpoint) -> None:
    client = await endpoint.open()
    answer = await client.sign_in(
        TOKEN, 5, client_id="", user_name=None, keep_alive=0, properties=b"\x11\x00\x00\x00\x3c"
    )
    assert answer.body[:2] == b"\x00\x00"
    properties = answer.body[3:]
    for expected in (
        b"\x11\x00\x00\x00\x00",  # the session ends with the connection
        b"\x13\x04\xb0",  # keep-alive 1200 s
        b"\x21" + struct.pack(">H", RECEIVE_MAXIMUM),
        b"\x22\x00\x10",  # topic aliases
        b"\x24\x01",  # QoS 1
        b"\x27" + struct.pack(">I", PACKET_LIMIT_BYTES),
        b"\x29\x00",
        b"\x2a\x00",
        b"\x12\x00\x16roost-",  # the client id that it was given
    ):
        assert expected in properties


async def test_the_hub_says_when_it_is_loaded(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "FULL_MESSAGES", 1)
    endpoint.log.open_gate.clear()
    busy = await endpoint.device(4)
    await busy.send(wire.publish(TOPIC, _body(1)))
    await until(lambda: endpoint.ingest.full)
    # Signing in is not telemetry and must not wait for room.
    client = await endpoint.open()
    answer = await client.sign_in(OTHER_TOKEN, 5, user_name="8", client_id="late")
    assert b"back_off_s" in answer.body


async def test_packets_may_follow_connect_at_once(endpoint: Endpoint) -> None:
    client = await endpoint.open()
    await client.send(wire.connect(4, password=TOKEN), wire.publish(TOPIC, _body(1)), wire.PING)
    kinds = {(await client.receive()).kind for _ in range(3)}
    assert kinds == {2, 4, 13}


async def test_sign_in_while_the_database_is_away(endpoint: Endpoint) -> None:
    endpoint.identities.error = OSError("connection refused")
    client = await endpoint.open()
    await client.send(wire.connect(4, password=TOKEN))
    assert await client.rest() == b"\x20\x02\x00\x03"
    endpoint.identities.error = None
    await endpoint.device(4)


# -- PUBLISH


@pytest.mark.parametrize("version", [4, 5])
async def test_no_puback_before_the_commit(endpoint: Endpoint, version: int) -> None:
    endpoint.log.open_gate.clear()
    client = await endpoint.device(version)
    await client.send(wire.publish(TOPIC, _body(1), 1, version=version), wire.PING)
    assert (await client.receive()).kind == 13, "a ping is answered at once, the message is not"
    assert endpoint.stored() == []
    endpoint.log.open_gate.set()
    answer = await client.receive()
    assert (answer.kind, answer.packet_id, answer.body) == (4, 1, b"\x00\x01")
    assert endpoint.stored() == [{"n": 1}]


@pytest.mark.parametrize("version", [4, 5])
async def test_pubacks_come_in_the_order_of_the_publishes(endpoint: Endpoint, version: int) -> None:
    """Telemetry, refusals by topic, refusals by content and reports take different ways, and still keep their order."""
    endpoint.log.open_gate.clear()
    endpoint.notes.report_gate = asyncio.Event()
    client = await endpoint.device(version)
    topics = [TOPIC, "devices/8/telemetry", TOPIC, "devices/me/status", "devices/me/readings", TOPIC, "devices/me/logs"]
    bodies = [_body(1), _body(2), b"{", b"online", b'{"readings":[{"sensor_type":"t","value":1}]}', _body(3), b"{}"]
    sent = [
        wire.publish(topic, body, number, version=version)
        for number, (topic, body) in enumerate(zip(topics, bodies, strict=True), 1)
    ]
    await client.send(*sent)
    endpoint.log.open_gate.set()
    await until(lambda: endpoint.stored() == [{"n": 1}])
    endpoint.notes.report_gate.set()
    answers = [await client.receive() for _ in sent]
    assert [answer.packet_id for answer in answers] == [1, 2, 3, 4, 5, 6, 7]
    expected = [0, 0x87, 0x99, 0, 0, 0, 0] if version == 5 else [0] * 7
    assert [answer.reason for answer in answers] == expected
    assert endpoint.notes.reports == [(7, "status", b"online"), (7, "logs", b"{}")]
    assert len(endpoint.notes.lines) == 2


async def test_thousands_of_messages_in_one_go(endpoint: Endpoint) -> None:
    """More than may be unanswered at once: reading waits, nothing is lost, order stays."""
    client = await endpoint.device(4)
    count = 3000
    await client.send(*(wire.publish(TOPIC, _body(n), n) for n in range(1, count + 1)))
    ids = [(await client.receive()).packet_id for _ in range(count)]
    assert ids == list(range(1, count + 1))
    assert endpoint.stored() == [{"n": n} for n in range(1, count + 1)]


async def test_reading_stops_while_ingest_is_full(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "FULL_MESSAGES", 10)
    endpoint.log.open_gate.clear()
    client = await endpoint.device(4)
    (session,) = endpoint.server.registry.open
    for n in range(1, 41):
        await client.send(wire.publish(TOPIC, _body(n), n))
        await asyncio.sleep(0)
    await until(lambda: session.stopped & FULL)
    assert session.submitted < 40
    endpoint.log.open_gate.set()
    assert [(await client.receive()).packet_id for _ in range(40)] == list(range(1, 41))


async def test_qos_0_is_stored_and_its_refusal_logged(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    for body in (_body(1), b"{", _body(2)):
        await client.send(wire.publish(TOPIC, body, qos=0, version=5))
    await client.send(wire.publish("devices/8/telemetry", b"{}", qos=0, version=5), wire.PING)
    assert (await client.receive()).kind == 13
    await until(lambda: endpoint.stored() == [{"n": 1}, {"n": 2}])
    assert len(endpoint.notes.lines) == 2


async def test_topic_alias(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    alias = b"\x23\x00\x10"
    await client.send(
        wire.publish(TOPIC, _body(1), 1, version=5, properties=alias),
        wire.publish("", _body(2), 2, version=5, properties=alias),
        wire.publish("devices/7/events", b'{"event_type":"boot","payload":{}}', 3, version=5, properties=alias),
        wire.publish("", b'{"event_type":"halt","payload":{}}', 4, version=5, properties=alias),
    )
    assert [(await client.receive()).reason for _ in range(4)] == [0] * 4
    assert [message.event_type for _, message in endpoint.log.rows] == [None, None, "boot", "halt"]


async def test_properties_of_a_publish_are_tolerated(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    properties = b"\x01\x01\x02\x00\x00\x00\x05\x03\x00\x01j\x08\x00\x01r\x09\x00\x01c\x26\x00\x01a\x00\x01b"
    await client.send(wire.publish(TOPIC, _body(1), version=5, properties=properties, retain=True, dup=True))
    assert (await client.receive()).reason == 0
    assert endpoint.stored() == [{"n": 1}]


async def test_another_devices_topic_is_refused_and_audited(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    five, four = await endpoint.device(5), await endpoint.device(4)
    await five.send(wire.publish("devices/8/telemetry", _body(1), version=5))
    answer = await five.receive()
    assert answer.reason == 0x87
    assert b"another device" in answer.body
    await four.send(wire.publish("devices/8/telemetry", _body(1)))
    assert (await four.receive()).packet_id == 1
    assert [line for line in endpoint.notes.lines if "another device" in line[1]]
    audited = [record for record in caplog.records if record.getMessage() == "a publish was refused"]
    assert {record.__dict__["topic"] for record in audited} == {"devices/8/telemetry"}
    assert endpoint.audit.refused_topics == [("mqtt.publish_refused", "devices/8/telemetry")] * 2
    assert endpoint.stored() == []


@pytest.mark.parametrize("version", [4, 5])
async def test_store_away_ends_the_connection_without_a_puback(endpoint: Endpoint, version: int) -> None:
    endpoint.log.away = True
    client = await endpoint.device(version)
    await client.send(wire.publish(TOPIC, _body(1), version=version))
    rest = await client.rest()
    assert b"\x40" not in rest[:1]
    assert (rest[:1], rest[2:3]) == ((b"\xe0", b"\x89") if version == 5 else (b"", b""))
    endpoint.log.away = False
    again = await endpoint.device(version)
    await again.send(wire.publish(TOPIC, _body(1), version=version, dup=True))
    assert (await again.receive()).reason == 0
    assert endpoint.stored() == [{"n": 1}]


async def test_too_often_5_is_told_and_goes_on(strict_endpoint: Endpoint) -> None:
    client = await strict_endpoint.device(5)
    await client.send(*(wire.publish(TOPIC, _body(n), n, version=5) for n in range(1, 5)))
    answers = [await client.receive() for _ in range(4)]
    assert [answer.reason for answer in answers] == [0, 0, 0x97, 0x97]
    await client.send(wire.PING)
    assert (await client.receive()).kind == 13


async def test_too_often_311_ends_the_connection(strict_endpoint: Endpoint) -> None:
    client = await strict_endpoint.device(4)
    await client.send(*(wire.publish(TOPIC, _body(n), n) for n in range(1, 5)))
    assert await client.rest() == b"\x40\x02\x00\x01\x40\x02\x00\x02"
    assert len(strict_endpoint.notes.lines) >= 1


@pytest.mark.parametrize(
    ("error", "reason"), [(Invalid("This is not a status."), 0x99), (Unavailable("Away."), None), (OSError("x"), None)]
)
async def test_reports_that_fail(endpoint: Endpoint, error: Exception, reason: int | None) -> None:
    endpoint.notes.report_error = error
    client = await endpoint.device(5)
    await client.send(wire.publish("devices/me/status", b"x", version=5))
    answer = await client.receive()
    assert (answer.kind, answer.reason) == ((4, reason) if reason else (14, 0x89))


async def test_a_user_publishes_nothing(endpoint: Endpoint) -> None:
    five, four = await endpoint.user(5), await endpoint.user(4)
    await five.send(wire.publish("devices/7/telemetry", _body(1), version=5))
    assert (await five.receive()).reason == 0x87
    await four.send(wire.publish("devices/7/telemetry", _body(1)))
    assert await four.rest() == b""
    assert endpoint.stored() == []


# -- SUBSCRIBE by devices


@pytest.mark.parametrize("version", [4, 5])
async def test_a_device_subscribes_to_its_own_work(endpoint: Endpoint, version: int) -> None:
    client = await endpoint.device(version)
    filters = ["devices/7/tasks", "devices/me/shadow/delta", "devices/8/tasks", "#", "a#"]
    await client.send(wire.subscribe(*filters, packet_id=9, version=version, options=1))
    answer = await client.receive()
    assert answer.packet_id == 9
    codes = answer.body[-5:]
    assert list(codes) == ([0, 0, 0x87, 0x87, 0x8F] if version == 5 else [0, 0, 0x80, 0x80, 0x80])
    await client.send(wire.unsubscribe("devices/7/tasks", "nothing", packet_id=10, version=version))
    answer = await client.receive()
    assert answer.body == (b"\x00\x0a\x00\x00\x11" if version == 5 else b"\x00\x0a")


async def test_filters_of_one_client_are_limited(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "FILTERS_PER_CLIENT", 2)
    filters = [f"devices/7/{leaf}" for leaf in ("telemetry", "events", "readings", "telemetry")]
    user = await endpoint.user(5)
    await user.send(wire.subscribe(*filters, version=5))
    assert (await user.receive()).body[-4:] == b"\x00\x00\x97\x00"
    device = await endpoint.device(5)
    await device.send(wire.subscribe("devices/me/tasks", "devices/7/tasks", "devices/me/shadow/delta", version=5))
    assert (await device.receive()).body[-3:] == b"\x00\x00\x97"


# -- one client id, one connection


@pytest.mark.parametrize("version", [4, 5])
async def test_the_same_client_id_takes_over(endpoint: Endpoint, version: int) -> None:
    first = await endpoint.device(version, client_id="one")
    second = await endpoint.device(version, client_id="one")
    rest = await first.rest()
    await first.close()
    assert rest[2:3] == (b"\x8e" if version == 5 else b"")
    await second.send(wire.PING)
    assert (await second.receive()).kind == 13
    await until(lambda: len(endpoint.notes.presence) == 3)
    assert [note[0] for note in endpoint.notes.presence] == ["connected", "connected", "disconnected"]
    assert endpoint.server.connections == 1


async def test_client_ids_are_each_devices_own(endpoint: Endpoint) -> None:
    first = await endpoint.device(4, client_id="one")
    await endpoint.device(4, OTHER_TOKEN, client_id="one")
    await first.send(wire.PING)
    assert (await first.receive()).kind == 13


async def test_connections_of_one_device_are_limited(endpoint: Endpoint) -> None:
    for _ in range(20):
        await endpoint.device(4)
    client = await endpoint.open()
    answer = await client.sign_in(TOKEN, 5, client_id="one more")
    assert answer.reason == 0x97
    await endpoint.device(4, OTHER_TOKEN)


# -- the end


async def test_disconnect_takes_the_will_back(endpoint: Endpoint) -> None:
    client = await endpoint.device(4, will=(TOPIC, _body(1), 1))
    await client.send(wire.DISCONNECT)
    assert await client.rest() == b""
    await until(lambda: len(endpoint.notes.presence) == 2)
    assert endpoint.notes.presence[1] == ("disconnected", 7, "It disconnected.")
    assert endpoint.notes.causes == ["goodbye"]
    assert endpoint.stored() == []


@pytest.mark.parametrize("version", [4, 5])
async def test_a_lost_connection_publishes_its_will(endpoint: Endpoint, version: int) -> None:
    client = await endpoint.device(version, will=("devices/7/telemetry", _body(1), 1))
    await client.close()
    await until(lambda: endpoint.stored() == [{"n": 1}])
    assert endpoint.notes.presence[1] == ("disconnected", 7, "The connection was lost.")
    assert endpoint.notes.causes == ["lost"]


async def test_disconnect_with_will_5(endpoint: Endpoint) -> None:
    client = await endpoint.device(5, will=("devices/me/events", b'{"event_type":"gone","payload":{}}', 1))
    await client.send(b"\xe0\x01\x04")
    await until(lambda: [message.event_type for _, message in endpoint.log.rows] == ["gone"])


async def test_a_will_about_the_status_becomes_the_reason(endpoint: Endpoint) -> None:
    client = await endpoint.device(4, will=("devices/me/status", b"offline\0", 1))
    await client.close()
    await until(lambda: len(endpoint.notes.presence) == 2)
    assert endpoint.notes.presence[1][2] == "The connection was lost. Its will says: offline"
    assert endpoint.notes.causes == ["will"]


async def test_a_will_in_the_log(endpoint: Endpoint) -> None:
    client = await endpoint.device(4, will=("devices/me/logs", b'{"message":"bye"}', 1))
    await client.close()
    await until(lambda: endpoint.notes.reports == [(7, "logs", b'{"message":"bye"}')])


async def test_a_will_on_another_devices_topic_is_refused(endpoint: Endpoint) -> None:
    client = await endpoint.device(4, will=("devices/8/telemetry", _body(1), 1))
    await client.close()
    await until(lambda: endpoint.notes.lines)
    assert endpoint.stored() == []


@pytest.mark.parametrize("version", [4, 5])
async def test_silence_beyond_the_keep_alive_ends_the_connection(endpoint: Endpoint, version: int) -> None:
    client = await endpoint.device(version, keep_alive=1, will=(TOPIC, _body(1), 1))
    talker = await endpoint.device(version, keep_alive=1)

    async def keep_talking() -> None:
        while True:
            await talker.send(wire.PING)
            await talker.receive()
            await asyncio.sleep(0.3)

    talking = asyncio.create_task(keep_talking())
    rest = await client.rest()
    talking.cancel()
    assert rest[2:3] == (b"\x8d" if version == 5 else b"")
    await until(lambda: endpoint.stored() == [{"n": 1}])
    assert endpoint.notes.causes == ["keep_alive"]
    await talker.send(wire.PING)
    assert (await talker.receive()).kind == 13


@pytest.mark.parametrize("subject", ["device.token_revoked", "device.deleted", "device.released"])
async def test_a_device_is_cut_off_at_once(endpoint: Endpoint, subject: str) -> None:
    five = await endpoint.device(5, will=(TOPIC, _body(1), 1))
    four = await endpoint.device(4)
    other = await endpoint.device(4, OTHER_TOKEN)
    endpoint.bus.publish(subject, {"device_id": 7, "organization_id": 3})
    assert (await five.receive()).reason == 0x87
    assert await four.rest() == b""
    await other.send(wire.PING)
    assert (await other.receive()).kind == 13
    assert endpoint.stored() == [], "who has lost the right has lost its last word, too"


async def test_a_user_who_signs_out_is_cut_off(endpoint: Endpoint) -> None:
    stays, goes = await endpoint.user(5), await endpoint.user(5)
    endpoint.bus.publish("session.revoked", {"session_id": 12, "user_id": 5})
    await stays.send(wire.PING)
    assert (await stays.receive()).kind == 13
    endpoint.bus.publish("session.revoked", {"session_id": 11, "user_id": 5})
    assert (await goes.receive()).reason == 0x87
    again = await endpoint.user(5)
    endpoint.bus.publish("user.deactivated", {"user_id": 5})
    assert (await again.receive()).reason == 0x87


async def test_shutdown_answers_what_was_taken(endpoint: Endpoint) -> None:
    endpoint.log.open_gate.clear()
    five, four = await endpoint.device(5), await endpoint.device(4)
    silent = await endpoint.open()
    await five.send(wire.publish(TOPIC, _body(1), 1, version=5))
    await four.send(wire.publish(TOPIC, _body(2), 2))
    await until(lambda: sum(session.submitted for session in endpoint.server.registry.open) == 2)
    stopping = asyncio.create_task(endpoint.server.stop())
    await asyncio.sleep(0)
    endpoint.log.open_gate.set()
    assert (await five.receive()).packet_id == 1
    farewell = await five.receive()
    assert (farewell.kind, farewell.reason) == (14, 0x8B)
    assert await four.rest() == b"\x40\x02\x00\x02"
    assert await silent.rest() == b""
    for client in (five, four):
        await client.close()
    await stopping
    assert [note[0] for note in endpoint.notes.presence] == ["connected"] * 2, (
        "a restart of the hub is nobody's absence"
    )
    with pytest.raises(OSError, match="Connect"):
        await RawClient.open(endpoint.server.port)


# -- TLS


@pytest.fixture
async def tls_endpoint(tmp_path: Path, certificate: tuple[Path, Path]) -> AsyncIterator[Endpoint]:
    running = Endpoint(tmp_path, 0, tls_cert=certificate[0], tls_key=certificate[1])
    await running.start()
    yield running
    await running.stop()


async def test_tls(tls_endpoint: Endpoint, certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    client = await RawClient.open(tls_endpoint.server.port, context)
    assert (await client.sign_in(TOKEN)).reason == 0
    await client.send(*(wire.publish(TOPIC, _body(n), n) for n in range(1, 600)))
    assert [(await client.receive()).packet_id for _ in range(1, 600)] == list(range(1, 600))
    await client.send(wire.DISCONNECT)
    assert await client.rest() == b""
    await client.close()


async def test_plain_text_on_a_tls_port(tls_endpoint: Endpoint) -> None:
    client = await RawClient.open(tls_endpoint.server.port)
    await client.send(wire.connect(4, password=TOKEN))
    assert b"\x20\x02" not in await client.rest()
    await client.close()


async def test_last_words_reach_a_client_that_keeps_sending(endpoint: Endpoint) -> None:
    """And one that neither reads nor stops is cut off all the same."""
    client = await endpoint.device(5)
    stubborn = await endpoint.device(4, client_id="stubborn")
    (session,) = [one for one in endpoint.server.registry.open if one.client_id == "stubborn"]

    async def flood(sender: RawClient) -> None:
        while True:
            await sender.send(*(wire.publish(TOPIC, _body(n), n, version=5) for n in range(1, 100)))
            await asyncio.sleep(0)

    flooding = [asyncio.create_task(flood(one)) for one in (client, stubborn)]
    await until(lambda: endpoint.log.rows)
    endpoint.bus.publish("device.deleted", {"device_id": 7, "organization_id": 3})
    rest = await client.rest()
    flooding[0].cancel()
    assert b"The device was deleted." in rest
    await until(lambda: session not in endpoint.server.registry.open)
    for task in flooding:
        task.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
