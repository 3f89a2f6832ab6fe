"""From the stream into the store, with a real NATS and a real PostgreSQL: each message once, whatever goes away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack

import pytest

from roost.core.clock import SystemClock
from roost.core.nats import Nats, telemetry_subject
from roost.devices.identity import DeviceIdentity
from roost.telemetry import store_writer, stream_positions
from roost.telemetry.log import ANY, LogUnavailable
from roost.telemetry.messages import Message
from roost.telemetry.postgres_log import Beside, PostgresLog
from roost.telemetry.store_writer import StoreWriter
from roost.telemetry.stream_log import StreamLog
from roost.telemetry.stream_positions import DeadLetter, Overtaken
from tests.nats_server import NatsServer, cluster
from tests.postgres_cluster import PostgresCluster
from tests.waiting import until

DEVICES = range(1, 21)
DELETED = 99
STARTED_MS = int(time.time() * 1000) - 3_600_000


class Machines:
    """Several machines on one NATS and one PostgreSQL."""

    def __init__(self, nats: NatsServer, database_url: str, *, replicas: int = 1) -> None:
        self.nats = nats
        self.url = nats.url
        self.replicas = replicas
        self.database_url = database_url
        self.ending = AsyncExitStack()
        self.sent: Counter[int] = Counter()
        self.refused = 0
        self.buried: list[DeadLetter] = []
        self._number = 0

    async def client(self) -> Nats:
        client = Nats(self.url, "test")
        await client.connect()
        self.ending.push_async_callback(client.close)
        return client

    async def log(self) -> StreamLog:
        """A log as an edge has it."""
        log = StreamLog(
            await self.client(), PostgresLog(self.database_url, SystemClock()), replicas=self.replicas, largest_mib=64
        )  # fmt: skip
        self.ending.push_async_callback(log.close)
        await log.open()
        return log

    async def writer(self, store: PostgresLog | None = None) -> StoreWriter:
        store = store or PostgresLog(self.database_url, SystemClock())
        self.ending.push_async_callback(store.close)
        writer = StoreWriter(await self.client(), store, self.database_url, identify, buried=self.buried.append)
        await writer.start()
        self.ending.push_async_callback(writer.stop)
        return writer

    async def send(self, log: StreamLog, count: int = 40) -> None:
        """Messages of all devices, with neither id nor time of their own: nothing but the position tells copies."""
        devices, messages = [], []
        for _ in range(count):
            self._number += 1
            devices.append(DEVICES[self._number % len(DEVICES)])
            messages.append(message(self._number))
        try:
            await log.append(devices, messages)
        except LogUnavailable:
            self.refused += 1
        else:
            self.sent.update(int(one.payload[5:-1]) for one in messages)

    async def send_until_accepted(self, log: StreamLog) -> None:
        async def accepted() -> bool:
            refused = self.refused
            await self.send(log)
            return self.refused == refused

        await until(accepted, 60, what="A message that is accepted")

    async def stored(self, log: StreamLog) -> Counter[int]:
        rows = await log.recent(DEVICES, 100_000, ANY)
        return Counter(int(row.readings()["n"]) for row in rows)

    async def all_stored(self, log: StreamLog) -> bool:
        """Whether all that was acknowledged is there; AssertionError when something is there twice."""
        found = await self.stored(log)
        twice = {number for number, times in found.items() if times > 1}
        assert not twice
        return self.sent.keys() <= found.keys()


class ForgetfulStore(PostgresLog):
    """Commits, and once does not say so: as when the connection ends in that moment."""

    forgot = False

    async def append(
        self, device_ids: Sequence[int], messages: Sequence[Message], *, beside: Beside | None = None
    ) -> None:
        await super().append(device_ids, messages, beside=beside)
        if not self.forgot:
            self.forgot = True
            raise LogUnavailable("the connection is gone")


class SlowStore(PostgresLog):
    """Begins when it is told to."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url, SystemClock())
        self.asked, self.go_on, self.failures = asyncio.Event(), asyncio.Event(), list[Exception]()

    async def append(
        self, device_ids: Sequence[int], messages: Sequence[Message], *, beside: Beside | None = None
    ) -> None:
        self.asked.set()
        await self.go_on.wait()
        try:
            await super().append(device_ids, messages, beside=beside)
        except Overtaken as error:
            self.failures.append(error)
            raise


def message(number: int, **fields: object) -> Message:
    at = STARTED_MS + number
    return Message(at, at, None, {"n": number}, b'{"n":%d}' % number, **fields)  # type: ignore[arg-type]


async def identify(device_ids: Collection[int]) -> dict[int, DeviceIdentity | None]:
    return {one: DeviceIdentity(one, f"device-{one}", 1, None) for one in device_ids if one != DELETED}


@pytest.fixture(autouse=True)
def _quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_positions, "LEASE_S", 1)
    monkeypatch.setattr(store_writer, "SHARE_INTERVAL_S", 0.2)


@pytest.fixture
async def machines(own_nats: NatsServer, postgres: PostgresCluster) -> AsyncIterator[Machines]:
    made = Machines(own_nats, postgres.create_database())
    async with made.ending:
        yield made


async def test_stores_what_was_appended_in_order(machines: Machines) -> None:
    log = await machines.log()
    await log.append([1] * 50, [message(number) for number in range(50)])
    await machines.writer()

    rows = await until(lambda: log.recent([1], 100, ANY), what="Anything stored")
    assert [row.readings()["n"] for row in rows] == list(range(49, -1, -1))


async def test_two_writers_share_the_parts_and_store_each_message_once(machines: Machines) -> None:
    log = await machines.log()
    first, second = await machines.writer(), await machines.writer()
    async with asyncio.timeout(20):
        while not (first.stored_total and second.stored_total):
            await machines.send(log)
            await asyncio.sleep(0)

    await until(lambda: machines.all_stored(log), 10, what="Everything in the store")


async def test_goes_on_where_a_writer_that_was_lost_ended(machines: Machines) -> None:
    log = await machines.log()
    writer = await machines.writer()
    for _ in range(20):
        await machines.send(log)
    await until(lambda: writer.stored_total)
    for task in writer._tasks:
        task.cancel()  # what it was doing ends in the middle, and it gives nothing back
    await machines.send(log)
    await machines.writer()

    await until(lambda: machines.all_stored(log), 20, what="Everything in the store")


async def test_does_not_repeat_a_commit_whose_answer_was_lost(machines: Machines) -> None:
    log = await machines.log()
    store = ForgetfulStore(machines.database_url, SystemClock())
    for _ in range(3):
        await machines.send(log)
    await machines.writer(store)
    await until(lambda: store.forgot, 10)
    await machines.send(log)

    await until(lambda: machines.all_stored(log), 10, what="Everything in the store")


async def test_a_writer_that_was_overtaken_stores_nothing(machines: Machines) -> None:
    log = await machines.log()
    slow = SlowStore(machines.database_url)
    first = await machines.writer(slow)
    await machines.send(log)
    await slow.asked.wait()
    first._tasks[0].cancel()  # it says no more that it is alive, but is
    await machines.writer()
    await until(lambda: machines.all_stored(log), 10, what="Everything in the store")
    slow.go_on.set()
    await until(lambda: slow.failures, 10, what="The refusal")

    await machines.send(log)
    await until(lambda: machines.all_stored(log), 10, what="Everything in the store, once")


async def test_catches_up_after_the_database_was_away(own_nats: NatsServer, own_postgres: PostgresCluster) -> None:
    machines = Machines(own_nats, own_postgres.create_database())
    async with machines.ending:
        log = await machines.log()
        await machines.writer()
        await machines.send(log)
        await until(lambda: machines.all_stored(log), 10)
        own_postgres.stop(immediately=True)
        for _ in range(10):
            await machines.send(log)
        assert not machines.refused
        own_postgres.start()

        async def caught_up() -> bool:
            try:
                return await machines.all_stored(log)
            except LogUnavailable:
                return False

        await until(caught_up, 20, what="Everything in the store")


async def test_goes_on_after_nats_was_killed(machines: Machines) -> None:
    log = await machines.log()
    await machines.writer()
    await machines.send(log)
    machines.nats.kill()
    await machines.send(log)
    assert machines.refused == 1
    machines.nats.start()

    await machines.send_until_accepted(log)
    await until(lambda: machines.all_stored(log), 20, what="Everything in the store")


async def test_stores_what_comes_to_a_stream_that_begins_anew(machines: Machines) -> None:
    log = await machines.log()
    writer = await machines.writer()
    for _ in range(5):
        await machines.send(log)
    await until(lambda: machines.all_stored(log), 10)
    machines.nats.kill()
    machines.nats.empty()
    machines.nats.start()

    await log.open()
    await machines.send(log)
    await until(lambda: machines.all_stored(log), 20, what="What came to the new stream")
    await writer.stop()


async def test_leaves_out_a_resend_that_another_edge_took(machines: Machines) -> None:
    one, other = await machines.log(), await machines.log()
    await machines.writer()
    await one.append([5], [message(1, message_id="boot-1")])
    await other.append([5], [message(2, message_id="boot-1")])
    await other.append([5], [message(3)])

    async def numbers() -> Sequence[object]:
        rows = await one.recent([5], 10, ANY)
        return [row.readings()["n"] for row in rows] if len(rows) > 1 else ()

    assert await until(numbers, 10) == [3, 1]


async def test_leaves_out_what_a_deleted_device_sent(machines: Machines) -> None:
    log = await machines.log()
    await machines.writer()
    await log.append([DELETED, DELETED + 8], [message(1), message(2)])

    await until(lambda: log.recent([DELETED + 8], 10, ANY), 10)
    assert not await log.recent([DELETED], 10, ANY)


async def test_sets_apart_what_cannot_be_stored_and_stores_the_rest(
    machines: Machines, postgres: PostgresCluster
) -> None:
    log = await machines.log()
    bad = message(2)
    bad.event_type = "a\x00b"
    await log.append([1, 1, 1], [message(1), bad, message(3)])
    client = await machines.client()
    await client.append(telemetry_subject(1), b"\x09from another version", "batch-of-another-version")
    await log.append([1], [message(4)])
    await machines.writer()

    async def rows() -> bool:
        return [row.readings()["n"] for row in await log.recent([1], 10, ANY)] == [4, 3, 1]

    await until(rows, 20)
    database = machines.database_url.rpartition("/")[2]
    letters = postgres.execute("SELECT device_id, reason FROM telemetry.dead_letter ORDER BY id", database=database)
    assert "Its format is 09, which this version does not know." in letters
    assert any(line.startswith("1|") and "0x00" in line for line in letters.splitlines())
    assert [letter.device_id for letter in machines.buried] == [1, None]


async def test_refuses_when_too_much_waits_already(machines: Machines) -> None:
    log = StreamLog(
        await machines.client(), PostgresLog(machines.database_url, SystemClock()), replicas=1, largest_mib=1
    )  # fmt: skip
    await log.open()
    machines.ending.push_async_callback(log.close)

    async def full() -> None:
        while True:
            await log.append([1] * 500, [message(number) for number in range(500)])

    with pytest.raises(LogUnavailable, match="maximum bytes"):
        async with asyncio.timeout(20):
            await full()


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak, id="ten-rounds")])
async def test_a_cluster_may_lose_any_of_its_three_servers(postgres: PostgresCluster, rounds: int) -> None:
    servers = cluster(3)
    machines = Machines(servers[0], postgres.create_database(), replicas=3)
    machines.url = ",".join(server.url for server in servers)
    try:
        for server in servers:
            server.start()
        async with machines.ending:
            log = await machines.log()
            await machines.writer()
            for number in range(rounds):
                victim = servers[number % 3]
                await machines.send_until_accepted(log)
                victim.kill()
                for _ in range(5):
                    await machines.send_until_accepted(log)
                victim.start()
            await until(lambda: machines.all_stored(log), 60, what="Everything in the store")
    finally:
        for server in servers:
            server.remove()
