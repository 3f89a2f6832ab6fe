"""Devices that never give up: they number what they send, note what was acknowledged, and send the rest again."""

import asyncio
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import httpx2
import msgspec

from tests.conftest import RegisteredDevice
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer
from tests.waiting import until

SERIES = "n"
_WINDOW = 16
_BATCH = 4
_PAUSE_S = 0.02
_RETRY_S = 0.1
_PUBACK = 4
_encode = msgspec.json.Encoder().encode


class Ledger:
    """What one device has sent and what of it was acknowledged. Message `number` has the reading n = number.

    Three in four have a time of their own or a message id (or both), so that sending them again must be harmless; the
    fourth kind is not there at all, because for it the hub only promises "at least once".
    """

    def __init__(self, device: RegisteredDevice, *, spacing_ms: int = 10) -> None:
        self.device = device
        self.acknowledged: set[int] = set()
        self.sent = 0
        self.refused: list[str] = []
        self.resent = 0
        self._waiting: deque[int] = deque()
        self._started_ms = int(time.time() * 1000) - 3_600_000
        self._spacing_ms = spacing_ms

    def take(self, *, new: bool = True) -> int | None:
        """The number to send next: what has to be sent again first, then (unless not `new`) a new one."""
        if self._waiting:
            self.resent += 1
            return self._waiting.popleft()
        if not new:
            return None
        self.sent += 1
        return self.sent - 1

    def again(self, numbers: Iterable[int]) -> None:
        """These were not acknowledged."""
        self._waiting.extend(sorted(numbers))

    def document(self, number: int) -> dict[str, Any]:
        """The message, the same however often it is asked for."""
        message: dict[str, Any] = {"payload": {SERIES: number}}
        if number % 3 != 1:
            message["message_id"] = f"{self.device.uid}/{number}"
        if number % 3 != 0:
            message["ts"] = self._started_ms + number * self._spacing_ms
        return message

    @property
    def settled(self) -> bool:
        """Whether everything that was ever sent has been acknowledged."""
        return len(self.acknowledged) == self.sent

    def missing_from(self, found: Counter[int]) -> set[int]:
        """Acknowledged messages that are not among those found."""
        return self.acknowledged - found.keys()


class Sender(Protocol):
    """One device at work, until cancelled."""

    ledger: Ledger
    quiet: bool

    async def run(self) -> None: ...


class HttpSender:
    """Posts single messages and batches, one at a time, on one connection while it lasts."""

    def __init__(self, server: RoostServer, device: RegisteredDevice, seed: int, pause_s: float = 0.0) -> None:
        self.ledger = Ledger(device)
        self.quiet = False
        self._pause_s = pause_s
        self.statuses: Counter[int] = Counter()
        self.retry_after: set[str | None] = set()
        self._url = f"{server.url}/api/v1/telemetry"
        self._random = random.Random(seed)

    async def run(self) -> None:
        async with httpx2.AsyncClient(
            headers=self.ledger.device.headers, timeout=30, trust_env=False, verify=False
        ) as client:
            while True:
                size = self._random.choice((1, 1, _BATCH))
                numbers = [n for _ in range(size) if (n := self.ledger.take(new=not self.quiet)) is not None]
                if not numbers:
                    await asyncio.sleep(_PAUSE_S)
                elif not await self._post(client, numbers):
                    self.ledger.again(numbers)
                    await asyncio.sleep(_RETRY_S)
                elif self._pause_s:
                    await asyncio.sleep(self._pause_s)

    async def _post(self, client: httpx2.AsyncClient, numbers: list[int]) -> bool:
        documents = [self.ledger.document(number) for number in numbers]
        body = _encode(documents[0] if len(documents) == 1 else documents)
        try:
            answer = await client.post(self._url, content=body, headers={"Content-Type": "application/json"})
        except httpx2.TransportError:
            return False
        except asyncio.CancelledError:
            self.ledger.again(numbers)
            raise
        self.statuses[answer.status_code] += 1
        if answer.status_code in {201, 202}:
            self.ledger.acknowledged.update(numbers)
            return True
        if answer.status_code == 503:
            self.retry_after.add(answer.headers.get("Retry-After"))
        else:
            self.ledger.refused.append(answer.text)
        return False


class MqttSender:
    """Publishes with QoS 1, up to 16 unanswered at a time; connects again whenever the connection ends."""

    def __init__(
        self, server: RoostServer, device: RegisteredDevice, version: int, pause_s: float = _PAUSE_S / 4
    ) -> None:
        self.ledger = Ledger(device)
        self.quiet = False
        self.connections = 0
        self.endings = 0
        self.in_flight: dict[int, int] = {}
        self._server = server
        self._version = version
        self._pause_s = pause_s
        self._topic = f"devices/{device.id}/telemetry"
        self._packet_ids = itertools.cycle(range(1, 65_536))

    async def run(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._converse()
            self.endings += 1
            self.ledger.again(self.in_flight.values())
            self.in_flight.clear()
            await asyncio.sleep(_RETRY_S)

    async def _converse(self) -> None:
        client = await RawClient.open(self._server.mqtt_port)
        try:
            device = self.ledger.device
            answer = await client.sign_in(device.token, self._version, client_id=device.uid, user_name=str(device.id))
            if answer.reason:
                return
            self.connections += 1
            async with asyncio.TaskGroup() as both:
                writing = both.create_task(self._publish(client))
                both.create_task(self._read(client, writing))
        finally:
            await client.close()

    async def _publish(self, client: RawClient) -> None:
        with suppress(OSError):
            while True:
                packets = []
                while len(self.in_flight) < _WINDOW and (number := self.ledger.take(new=not self.quiet)) is not None:
                    packet_id = next(self._packet_ids)
                    self.in_flight[packet_id] = number
                    body = _encode(self.ledger.document(number))
                    packets.append(wire.publish(self._topic, body, packet_id, version=self._version))
                await client.send(*packets)
                await asyncio.sleep(self._pause_s)

    async def _read(self, client: RawClient, writing: "asyncio.Task[None]") -> None:
        try:
            while True:
                first, body = await read_packet(client.reader)
                if first >> 4 != _PUBACK:
                    return
                number = self.in_flight.pop(int.from_bytes(body[:2], "big"))
                if len(body) > 2 and body[2]:
                    self.ledger.refused.append(f"PUBACK {body[2]:#x}")
                    self.ledger.again([number])
                else:
                    self.ledger.acknowledged.add(number)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writing.cancel()


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and body of the next MQTT packet, however long it takes."""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first, await reader.readexactly(length)


def _sender(server: RoostServer, device: RegisteredDevice, place: int, seed: int) -> Sender:
    kind = place % 3
    return HttpSender(server, device, seed) if kind == 0 else MqttSender(server, device, version=3 + kind)


class Load:
    """Several devices sending at once."""

    def __init__(self, senders: list[Sender]) -> None:
        self.senders = senders

    @classmethod
    def mixed(cls, server: RoostServer, devices: list[RegisteredDevice], seed: int) -> "Load":
        """HTTP, MQTT 3.1.1 and MQTT 5 in turn."""
        return cls([_sender(server, device, place, seed + place) for place, device in enumerate(devices)])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The devices send for as long as the block lasts."""
        tasks = [asyncio.create_task(sender.run()) for sender in self.senders]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [one for one in outcomes if isinstance(one, Exception)]
        if failures:
            raise failures[0]

    @property
    def acknowledged(self) -> int:
        """Messages acknowledged so far."""
        return sum(len(sender.ledger.acknowledged) for sender in self.senders)

    async def progress(self, messages: int, timeout_s: float = 30) -> None:
        """Return once every device has had so many more acknowledgements."""
        goals = [(sender.ledger, len(sender.ledger.acknowledged) + messages) for sender in self.senders]
        await until(
            lambda: all(len(ledger.acknowledged) >= goal for ledger, goal in goals),
            timeout_s,
            what=f"{messages} more acknowledged messages of each device",
        )

    async def drain(self, timeout_s: float = 30) -> None:
        """Nothing new is sent; return once everything that was sent is acknowledged."""
        for sender in self.senders:
            sender.quiet = True
        await until(
            lambda: all(sender.ledger.settled for sender in self.senders),
            timeout_s,
            what="The acknowledgement of all that was sent",
        )
        for sender in self.senders:
            sender.quiet = False

    def assert_nothing_refused(self) -> None:
        """Whatever happened to the hub, no message was called bad."""
        assert [one for sender in self.senders for one in sender.ledger.refused] == []


def read_back(user: httpx2.Client, device: RegisteredDevice, **parameters: str) -> Counter[int]:
    """How often the hub shows each number of a device, page by page through the readings."""
    pages = all_pages(user, f"/devices/{device.id}/readings", **parameters)
    return Counter(reading["value"] for reading in pages if reading["sensor_type"] == SERIES)


def all_pages(user: httpx2.Client, path: str, **parameters: str) -> list[dict[str, Any]]:
    """The whole of a list, 500 at a time."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = user.get(path, params={"limit": "500", **parameters, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()
        if "X-Next-Cursor" not in answer.headers:
            return found
        cursor = {"cursor": answer.headers["X-Next-Cursor"]}


def assert_exactly_once(user: httpx2.Client, load: Load) -> None:
    """Everything acknowledged is shown, and nothing twice."""
    for sender in load.senders:
        ledger = sender.ledger
        found = read_back(user, ledger.device)
        assert ledger.missing_from(found) == set(), f"{ledger.device.uid}: acknowledged and lost"
        assert [number for number, times in found.items() if times != 1] == [], f"{ledger.device.uid}: shown twice"
        assert found.keys() <= set(range(ledger.sent))
        messages = all_pages(user, "/telemetry", device_id=str(ledger.device.id))
        ids = [message["id"] for message in messages]
        assert ids == sorted(set(ids), reverse=True)
        assert {message["payload"][SERIES] for message in messages} == found.keys()
        assert_ids_once(messages)


def assert_ids_once(messages: list[dict[str, Any]]) -> None:
    """No message id is stored twice, whatever time the hub or the device gave it."""
    message_ids = Counter(message["message_id"] for message in messages if message["message_id"])
    assert [one for one, times in message_ids.items() if times > 1] == []
