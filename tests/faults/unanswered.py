"""Messages on their way over every transport while nothing can become durable."""

import asyncio

import httpx2

from tests.conftest import RegisteredDevice
from tests.faults.load import read_packet
from tests.mqtt import wire
from tests.mqtt.wire import RawClient
from tests.roost_server import RoostServer

POSTS = 4
PUBLISHES = 5
_PROBES = 10
_PUBACK, _PINGRESP = 4, 0xD0


class Unanswered:
    """Four devices: one posts, one publishes with MQTT 3.1.1, one with MQTT 5, and one asks what needs no disk."""

    def __init__(self, server: RoostServer, devices: list[RegisteredDevice]) -> None:
        self.statuses: list[int] = []
        self.pubacks: list[tuple[int, int]] = []
        self._server = server
        self._posting, *self._publishing, self._asking = devices
        self._http = httpx2.AsyncClient(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False)
        self._clients: list[RawClient] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Sign everybody in; also with the HTTP side, so that no look-up is left to do."""
        for device, version in [*zip(self._publishing, (4, 5), strict=True), (self._asking, 4)]:
            client = await RawClient.open(self._server.mqtt_port)
            self._clients.append(client)
            assert (await client.sign_in(device.token, version, user_name=device.uid)).reason == 0
        for device in (self._posting, self._asking):
            assert (await self._http.get("/devices/whoami", headers=device.headers)).status_code == 200

    async def send(self) -> None:
        """Post and publish; what comes back is noted as it comes."""
        for number in range(POSTS):
            self._tasks.append(asyncio.create_task(self._post(number)))
        for version, client in zip((4, 5), self._clients, strict=False):
            self._tasks.append(asyncio.create_task(self._note(version, client)))
            packets = [
                wire.publish("devices/me/telemetry", b'{"n": %d}' % number, number + 1, version=version)
                for number in range(PUBLISHES)
            ]
            await client.send(*packets)

    async def probe(self) -> None:
        """The hub is awake: it goes on answering what needs no disk, many times over."""
        for _ in range(_PROBES):
            await self._clients[-1].send(wire.PING)
            assert (await self._clients[-1].receive()).first == _PINGRESP
            answer = await self._http.get("/devices/whoami", headers=self._asking.headers)
            assert answer.status_code == 200

    @property
    def answered(self) -> int:
        """201s and PUBACKs that have arrived."""
        return len(self.statuses) + len(self.pubacks)

    @property
    def complete(self) -> bool:
        """Whether everything has been acknowledged, in order."""
        every = sorted((version, number + 1) for version in (4, 5) for number in range(PUBLISHES))
        return self.statuses == [201] * POSTS and sorted(self.pubacks, key=lambda one: one[0]) == every

    async def close(self) -> None:
        """Drop all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()
        await self._http.aclose()

    async def _post(self, number: int) -> None:
        answer = await self._http.post("/telemetry", headers=self._posting.headers, json={"n": number})
        self.statuses.append(answer.status_code)

    async def _note(self, version: int, client: RawClient) -> None:
        while True:
            first, body = await read_packet(client.reader)
            assert first >> 4 == _PUBACK
            assert len(body) == 2
            self.pubacks.append((version, int.from_bytes(body, "big")))
