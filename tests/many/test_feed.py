"""What was stored, on its way to the processes that listen."""

from collections.abc import AsyncIterator

import pytest

from roost.core.nats import COMMITTED_SUBJECT, Nats
from roost.devices.identity import DeviceIdentity
from roost.telemetry.messages import Committed, Message
from roost.telemetry.stream_feed import CommittedFeed
from roost.telemetry.stream_format import encode_group
from tests.nats_server import NatsServer
from tests.waiting import until

LAMP = DeviceIdentity(1, "lamp-1", 7, 3)
DOOR = DeviceIdentity(2, "door", 7, None)


class Heard:
    def __init__(self) -> None:
        self.groups: list[list[Committed]] = []
        self.missed = 0

    def miss(self) -> None:
        self.missed += 1


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[Nats]:
    connected = Nats(nats.url, "test")
    await connected.connect()
    yield connected
    await connected.close()


@pytest.fixture
async def heard(client: Nats) -> Heard:
    heard = Heard()
    await CommittedFeed(client, heard.groups.append, heard.miss).start()
    return heard


def reading(number: int) -> Committed:
    return Committed(LAMP, Message(1000, 1000, None, {"n": number}, b'{"n":%d}' % number, {"n": "W"}, None, number))


async def test_arrives_as_it_was_committed(client: Nats, heard: Heard) -> None:
    event = Message(1000, 1001, "opened", {"by.age": 9}, b'{"by":{"name":"Ann","age":9}}', None, None, 5)
    group = [reading(1), Committed(DOOR, event), reading(2)]
    await client.tell(COMMITTED_SUBJECT, encode_group("a", 1, group))
    await until(lambda: heard.groups)
    assert heard.groups == [group]
    assert not heard.missed


async def test_notices_what_is_missing_of_each_writer(client: Nats, heard: Heard) -> None:
    for writer, number in [("a", 4), ("b", 1), ("a", 5), ("b", 2)]:
        await client.tell(COMMITTED_SUBJECT, encode_group(writer, number, [reading(number)]))
    await until(lambda: len(heard.groups) == 4)
    before = heard.missed
    await client.tell(COMMITTED_SUBJECT, encode_group("a", 7, [reading(7)]))
    await until(lambda: len(heard.groups) == 5)
    assert (before, heard.missed) == (0, 1)


async def test_what_another_version_says_counts_as_missing(client: Nats, heard: Heard) -> None:
    await client.tell(COMMITTED_SUBJECT, b"\xc1 not this version's")
    await until(lambda: heard.missed)
    assert not heard.groups
