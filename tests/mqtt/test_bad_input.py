"""Whatever a client sends: a clear refusal, nothing stored, no log line of ours that looks like a defect."""

import asyncio
import json
import logging
import struct

import pytest

from tests.mqtt import wire
from tests.mqtt.conftest import OTHER_TOKEN, TOKEN, Endpoint
from tests.waiting import until

TOPIC = "devices/me/telemetry"
BODY = b'{"payload":{"temp_c":21}}'
SURROGATE = b"devices/me/\xed\xa0\x80"


def _broken_packets(version: int) -> dict[str, tuple[bytes, int]]:
    """Packets after CONNECT that end the connection, and the reason MQTT 5 is given."""
    properties = b"\x00" if version == 5 else b""
    return {
        "second connect": (wire.connect(version, password=TOKEN), 0x82),
        "type 0": (b"\x00\x00", 0x81),
        "connack from a client": (b"\x20\x02\x00\x00", 0x82),
        "pubrel without qos 2": (b"\x62\x02\x00\x01", 0x82),
        "auth": (b"\xf0\x00", 0x82),
        "endless length": (b"\x30\xff\xff\xff\xff\x01", 0x81),
        "qos 2": (wire.publish(TOPIC, BODY, qos=2, version=version), 0x9B),
        "qos 3": (wire.publish(TOPIC, BODY, qos=3, version=version), 0x81),
        "dup with qos 0": (wire.publish(TOPIC, BODY, qos=0, dup=True, version=version), 0x81),
        "packet id 0": (wire.publish(TOPIC, BODY, 0, version=version), 0x82),
        "topic with +": (wire.publish("devices/+/telemetry", BODY, version=version), 0x90),
        "topic with #": (wire.publish("devices/#", BODY, version=version), 0x90),
        "empty topic": (wire.publish("", BODY, version=version), 0x90),
        "topic with NUL": (wire.publish("devices/me/\0", BODY, version=version), 0x81),
        "surrogate in topic": (wire.publish(SURROGATE, BODY, version=version), 0x81),
        "invalid utf-8 in topic": (wire.publish(b"devices/\xff\xfe", BODY, version=version), 0x81),
        "topic longer than packet": (wire.packet(0x32, b"\x00\xffabc"), 0x81),
        "publish without packet id": (wire.packet(0x32, wire.text(TOPIC)), 0x81),
        "ping with a body": (b"\xc0\x01\x00", 0x81),
        "ping with flags": (b"\xc3\x00", 0x81),
        "subscribe with wrong flags": (b"\x80" + wire.subscribe("a", version=version)[1:], 0x81),
        "subscribe without filters": (wire.packet(0x82, b"\x00\x01" + properties), 0x82),
        "subscribe with packet id 0": (wire.subscribe("a", packet_id=0, version=version), 0x82),
        "subscribe with qos 3": (wire.subscribe("a", version=version, options=3), 0x81),
        "subscribe with reserved bits": (wire.subscribe("a", version=version, options=0xC0), 0x81),
        "subscribe cut short": (wire.packet(0x82, b"\x00\x01" + properties + b"\x00\x05ab"), 0x81),
        "unsubscribe with wrong flags": (b"\xa0" + wire.unsubscribe("a", version=version)[1:], 0x81),
        "unsubscribe without filters": (wire.packet(0xA2, b"\x00\x01" + properties), 0x82),
        "disconnect with flags": (b"\xe1\x00", 0x81),
    }


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("name", _broken_packets(4))
async def test_broken_packet_ends_only_its_connection(
    endpoint: Endpoint, version: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bystander = await endpoint.device(version, OTHER_TOKEN)
    client = await endpoint.device(version)
    broken, reason = _broken_packets(version)[name]
    # What came before it still counts, what comes after it doesn't.
    await client.send(
        wire.publish(TOPIC, b'{"payload":{"before":1}}', 9, version=version),
        broken,
        wire.publish(TOPIC, b'{"payload":{"after":1}}', 10, version=version),
    )
    rest = await client.rest()
    if version == 5:
        assert bytes([0xE0]) in rest
        farewell = rest[rest.index(0xE0) :]
        assert farewell[2] == reason
        assert farewell.isascii() is False
        assert len(farewell) > 8, "a reason string says what was wrong"
    else:
        assert b"\xe0" not in rest
    await bystander.send(wire.publish(TOPIC, BODY, version=version))
    assert (await bystander.receive()).kind == 4
    await until(lambda: endpoint.stored() == [{"before": 1}, {"temp_c": 21}])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


PROPERTIES_THAT_BREAK = {
    "unknown property": (b"\x7e\x00", 0x81),
    "alias 0": (b"\x23\x00\x00", 0x94),
    "alias beyond the maximum": (b"\x23\x00\x11", 0x94),
    "alias twice": (b"\x23\x00\x01\x23\x00\x01", 0x82),
    "property of another packet": (b"\x21\x00\x01", 0x82),
    "subscription identifier": (b"\x0b\x01", 0x82),
    "payload format 2": (b"\x01\x02", 0x82),
    "property cut short": (b"\x02\x00", 0x81),
    "user property with NUL": (b"\x26\x00\x01\x00\x00\x01a", 0x81),
}


@pytest.mark.parametrize("name", PROPERTIES_THAT_BREAK)
async def test_broken_properties_of_a_publish(endpoint: Endpoint, name: str) -> None:
    properties, reason = PROPERTIES_THAT_BREAK[name]
    client = await endpoint.device(5)
    await client.send(wire.publish(TOPIC, BODY, version=5, properties=properties))
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (14, reason)
    assert await client.rest() == b""
    assert endpoint.stored() == []


async def test_alias_without_a_topic(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    await client.send(wire.publish("", BODY, version=5, properties=b"\x23\x00\x01"))
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (14, 0x82)


async def test_subscription_identifier_is_not_offered(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    await client.send(wire.packet(0x82, b"\x00\x01\x02\x0b\x01" + wire.text("devices/me/tasks") + b"\x00"))
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (14, 0xA1)


async def test_disconnect_must_not_start_a_session(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    await client.send(wire.packet(0xE0, b"\x00\x05\x11\x00\x00\x00\x05"))
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (14, 0x82)


@pytest.mark.parametrize(
    "first",
    [
        wire.PING,
        wire.publish(TOPIC, BODY),
        wire.subscribe("#"),
        wire.DISCONNECT,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
    ],
    ids=["ping", "publish", "subscribe", "disconnect", "http", "tls"],
)
async def test_nothing_but_connect_may_come_first(endpoint: Endpoint, first: bytes) -> None:
    client = await endpoint.open()
    await client.send(first, b"\x00" * 100)
    assert await client.rest() == b""
    assert endpoint.stored() == []


CONNECTS_311 = {
    "old protocol": (wire.connect(3, name=b"MQIsdp", password=TOKEN), b"\x20\x02\x00\x01"),
    "unknown level": (wire.connect(3, password=TOKEN), b"\x20\x02\x00\x01"),
    "another protocol": (wire.connect(4, name=b"AMQP", password=TOKEN), b""),
    "reserved flag": (wire.connect(4, password=TOKEN, flags=0xC3), b""),
    "reserved first byte": (b"\x11" + wire.connect(4, password=TOKEN)[1:], b""),
    "password without name": (wire.connect(4, user_name=None, password=TOKEN), b""),
    "will qos without will": (wire.connect(4, password=TOKEN, flags=0xCA), b""),
    "will qos 3": (wire.connect(4, password=TOKEN, will=("a", b"", 3)), b""),
    "will with wildcard": (wire.connect(4, password=TOKEN, will=("a/#", b"", 0)), b""),
    "no client id, no clean session": (wire.connect(4, "", password=TOKEN, clean=False), b"\x20\x02\x00\x02"),
    "endless client id": (wire.connect(4, "x" * 300, password=TOKEN), b"\x20\x02\x00\x02"),
    "client id with NUL": (wire.connect(4, "a\0b", password=TOKEN), b""),
    "invalid utf-8 in user name": (wire.connect(4, user_name=b"\xff", password=TOKEN), b""),
    "trailing bytes": (wire.packet(0x10, wire.connect(4, password=TOKEN)[2:] + b"x"), b""),
    "truncated": (wire.packet(0x10, wire.connect(4, password=TOKEN)[2:-3]), b""),
    "too long": (wire.connect(4, password="x" * 5000), b""),
    "claims to be huge": (b"\x10\xff\xff\xff\x7f", b""),
    "nobody": (wire.connect(4, user_name=None), b"\x20\x02\x00\x04"),
    "no password": (wire.connect(4, user_name="7"), b"\x20\x02\x00\x04"),
    "wrong password": (wire.connect(4, password="rdt_" + "x" * 43), b"\x20\x02\x00\x04"),
    "password in bytes": (wire.connect(4, password=b"\xff\x00"), b"\x20\x02\x00\x04"),
    "wrong user name": (wire.connect(4, user_name="8", password=TOKEN), b"\x20\x02\x00\x04"),
    "wrong access token": (wire.connect(4, user_name="a", password="a.b.c"), b"\x20\x02\x00\x04"),
}


@pytest.mark.parametrize("name", CONNECTS_311)
async def test_connect_refused_311(endpoint: Endpoint, name: str) -> None:
    sent, answer = CONNECTS_311[name]
    client = await endpoint.open()
    await client.send(sent)
    assert await client.rest() == answer
    assert endpoint.notes.presence == []
    await until(lambda: not endpoint.server.registry.open)


CONNECTS_5 = {
    "unknown level": (wire.connect(6, password=TOKEN), 0x84),
    "will qos 2": (wire.connect(5, password=TOKEN, will=("a", b"", 2)), 0x9B),
    "authentication method": (wire.connect(5, password=TOKEN, properties=b"\x15\x00\x01a"), 0x8C),
    "authentication data alone": (wire.connect(5, password=TOKEN, properties=b"\x16\x00\x01a"), 0x82),
    "receive maximum 0": (wire.connect(5, password=TOKEN, properties=b"\x21\x00\x00"), 0x82),
    "packet size 0": (wire.connect(5, password=TOKEN, properties=b"\x27\x00\x00\x00\x00"), 0x82),
    "problem information 2": (wire.connect(5, password=TOKEN, properties=b"\x17\x02"), 0x82),
    "twice": (wire.connect(5, password=TOKEN, properties=b"\x17\x01\x17\x01"), 0x82),
    "alias in connect": (wire.connect(5, password=TOKEN, properties=b"\x23\x00\x01"), 0x82),
    "wrong password": (wire.connect(5, password="rdt_" + "x" * 43), 0x86),
    "wrong user name": (wire.connect(5, user_name="cellar-1", password=TOKEN), 0x86),
    "endless client id": (wire.connect(5, "x" * 300, password=TOKEN), 0x85),
}


@pytest.mark.parametrize("name", CONNECTS_5)
async def test_connect_refused_5(endpoint: Endpoint, name: str) -> None:
    sent, reason = CONNECTS_5[name]
    client = await endpoint.open()
    await client.send(sent)
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (2, reason)
    assert answer.body[3] == 0x1F, "a reason string"
    assert await client.rest() == b""


async def test_long_publish_is_refused_and_read_to_its_end_311(endpoint: Endpoint) -> None:
    """A 3.1.1 client would send it for ever: it is thrown away, acknowledged, and written into the device's log."""
    client = await endpoint.device(4)
    endless = wire.publish(TOPIC, b"x" * 3_000_000, 5)
    await client.send(wire.publish(TOPIC, BODY, 4), endless, wire.publish(TOPIC, BODY, 6))
    assert [(await client.receive()).packet_id for _ in range(3)] == [4, 5, 6]
    assert endpoint.stored() == [{"temp_c": 21}] * 2
    assert [line for line in endpoint.notes.lines if "bytes" in line[1]]


async def test_the_largest_batch_is_taken_as_over_http(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    text = "x" * 2_000
    batch = json.dumps([{"temp_c": number, "text": text} for number in range(500)]).encode()
    await client.send(wire.publish(TOPIC, batch, 4, version=5))
    assert (await client.receive()).packet_id == 4
    assert len(endpoint.stored()) == 500


async def test_long_publish_with_qos_0_is_skipped_311(endpoint: Endpoint) -> None:
    client = await endpoint.device(4)
    await client.send(wire.publish(TOPIC, b"x" * 2_000_000, qos=0), wire.PING)
    assert (await client.receive()).kind == 13
    assert len(endpoint.notes.lines) == 1


async def test_long_packet_ends_the_connection_5(endpoint: Endpoint) -> None:
    client = await endpoint.device(5)
    await client.send(wire.publish(TOPIC, b"x" * 2_000_000, version=5)[:200])
    answer = await client.receive()
    assert (answer.kind, answer.reason) == (14, 0x95)


async def test_long_subscribe_ends_the_connection_311(endpoint: Endpoint) -> None:
    client = await endpoint.device(4)
    await client.send(wire.subscribe(*["a" * 1000] * 1100))
    assert await client.rest() == b""


async def test_publish_too_large_for_telemetry(endpoint: Endpoint) -> None:
    body = b'{"payload":{"text":"' + b"x" * 20_000 + b'"}}'
    five, four = await endpoint.device(5), await endpoint.device(4)
    await five.send(wire.publish(TOPIC, body, version=5))
    answer = await five.receive()
    assert (answer.kind, answer.reason) == (4, 0x97)
    await four.send(wire.publish(TOPIC, body))
    assert (await four.receive()).packet_id == 1
    assert len(endpoint.notes.lines) == 2
    assert endpoint.stored() == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1e999]", b'{"payload":{"a":NaN}}', b"\xff", b"[" * 15_000, b'{"payload":7}']
)
async def test_payload_that_is_not_telemetry(endpoint: Endpoint, body: bytes) -> None:
    client = await endpoint.device(5)
    await client.send(wire.publish(TOPIC, body, 3, version=5), wire.publish(TOPIC, BODY, 4, version=5))
    refused, taken = await client.receive(), await client.receive()
    assert (refused.packet_id, refused.reason) == (3, 0x99)
    assert struct.unpack_from(">BH", refused.body, 4)[0] == 0x1F
    assert (taken.packet_id, taken.reason) == (4, 0)


async def test_reason_strings_only_where_wanted(endpoint: Endpoint) -> None:
    client = await endpoint.device(5, properties=b"\x17\x00")
    await client.send(wire.publish(TOPIC, b"{", version=5))
    assert (await client.receive()).body == b"\x00\x01\x99\x00"


async def test_reason_strings_only_where_they_fit(endpoint: Endpoint) -> None:
    client = await endpoint.device(5, properties=b"\x27\x00\x00\x00\x10")
    await client.send(wire.publish(TOPIC, b"{", version=5))
    assert (await client.receive()).body == b"\x00\x01\x99\x00"


async def test_half_open_connections_end(endpoint: Endpoint) -> None:
    client = await endpoint.open()
    await client.send(wire.connect(4, password=TOKEN)[:10])
    await until(lambda: endpoint.server.registry.open)
    (session,) = endpoint.server.registry.open
    session.silence_limit_s = 0.2
    assert await client.rest() == b""


async def test_who_never_comes_to_the_end_of_a_connect_is_sent_away(endpoint: Endpoint) -> None:
    """However much it says meanwhile."""
    client = await endpoint.open()
    await client.send(b"\x10\xff\x01")
    await until(lambda: endpoint.server.registry.open)
    (session,) = endpoint.server.registry.open
    session.silence_limit_s = 0.2

    async def drip() -> None:
        while True:
            await client.send(b"\x00")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        assert await client.rest() == b""
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_wrong_passwords_are_stopped_without_look_ups(endpoint: Endpoint) -> None:
    """After a few dozen failures an address costs no query; a device that is known gets in all the same."""
    familiar = await endpoint.device(4)

    async def guess(number: int) -> int:
        client = await endpoint.open()
        answer = await client.sign_in(f"rdt_{number:043d}")
        await client.rest()
        await client.close()
        return answer.reason

    codes = [await guess(number) for number in range(60)]
    assert codes[:30] == [4] * 30
    assert codes[-1] == 3
    assert endpoint.identities.look_ups < 40
    await familiar.send(wire.PING)
    assert (await familiar.receive()).kind == 13
    await endpoint.device(4)


async def test_one_stubborn_device_does_not_lock_out_its_neighbours(endpoint: Endpoint) -> None:
    """All devices of a home share an address; after a restart of the hub none of them is in memory."""
    for _ in range(100):
        client = await endpoint.open()
        assert (await client.sign_in("rdt_" + "r" * 43)).reason == 4
        await client.rest()
    assert endpoint.identities.look_ups == 1
    await endpoint.device(4)


async def test_a_thousand_wrong_passwords_at_once(endpoint: Endpoint) -> None:
    async def guess(number: int) -> bytes:
        client = await wire.RawClient.open(endpoint.server.port)
        await client.send(wire.connect(4, password=f"rdt_{number:043d}"))
        answer = await client.rest()
        await client.close()
        return answer

    answers = await asyncio.gather(*(guess(number) for number in range(1000)))
    assert set(answers) <= {b"\x20\x02\x00\x04", b"\x20\x02\x00\x03"}
    await until(lambda: not endpoint.server.registry.open)
