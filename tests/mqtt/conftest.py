"""The endpoint in this process, on real sockets and the real ingest path; only what lies behind both is in memory."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from roost.access.principals import Grant, UserPrincipal
from roost.core.bus import Bus
from roost.core.clock import SystemClock
from roost.core.errors import Unauthorized
from roost.core.settings import Settings
from roost.devices.identity import DeviceIdentity
from roost.devices.presence_record import Cause
from roost.mqtt.ports import Heard
from roost.mqtt.reasons import Reason, SignInError
from roost.mqtt.server import MqttServer
from roost.mqtt.thingsboard import Answer, Published
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.ingest import Ingest
from roost.telemetry.log import CoarseRow, LogUnavailable, MessageFilter, Row
from roost.telemetry.messages import Message
from tests.mqtt.wire import RawClient

TOKEN = "rdt_" + "a" * 43
OTHER_TOKEN = "rdt_" + "b" * 43
USER_TOKEN = "head.claims.signature"
DEVICE = DeviceIdentity(7, "greenhouse-1", 3, 4)
OTHER = DeviceIdentity(8, "cellar-1", 3, 4)
FOREIGN = DeviceIdentity(9, "neighbour-1", 99, 98)
USER = UserPrincipal(5, "a@example.org", "a", 11, (Grant("owner", 3),))


class MemoryLog:
    """A log whose appends can be held back, or fail."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Message]] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.away = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        await self.open_gate.wait()
        if self.away:
            raise LogUnavailable("the disk is full")
        for device_id, message in zip(device_ids, messages, strict=True):
            self.rows.append((device_id, message))
            message.id = len(self.rows)

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        return []

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        return []

    async def pieces(
        self, device_id: int, since: int, until: int, *, keys: Sequence[str] = (), whole: object = None
    ) -> AsyncIterator[Frame | Summary]:
        for piece in list[Frame | Summary]():
            yield piece

    async def batches(
        self, device_ids: Sequence[int], since: int, until: int, *, keys: Sequence[str] = (), whole: object = None
    ) -> AsyncGenerator[list[Frame | Summary], None]:
        for batch in list[list[Frame | Summary]]():
            yield batch

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        return []

    async def find(self, message_id: int) -> Row | None:
        return None

    async def delete_device(self, device_id: int) -> None: ...

    async def prune(self, before: int) -> int:
        return 0

    async def size(self) -> tuple[int, int]:
        return len(self.rows), 0


@dataclass
class MemoryIdentities:
    """Tokens of devices. `known` are in memory already, the others cost a look-up, which is counted."""

    tokens: dict[str, DeviceIdentity] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    look_ups: int = 0
    error: Exception | None = None

    def cached(self, token: str) -> DeviceIdentity | None:
        return self.tokens.get(token) if token in self.known else None

    async def authenticate(self, token: str) -> DeviceIdentity | None:
        self.look_ups += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if token in self.tokens:
            self.known.add(token)
        return self.tokens.get(token)


@dataclass
class Notes:
    """What the registry was told, in order."""

    presence: list[tuple[object, ...]] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    reports: list[tuple[int, str, bytes]] = field(default_factory=list)
    report_error: Exception | None = None
    report_gate: asyncio.Event | None = None

    def seen(self, device_id: int, at_ms: int) -> None: ...

    def connected(self, device_id: int, transport: str) -> None:
        self.presence.append(("connected", device_id, transport))

    def disconnected(self, device_id: int, reason: str, *, cause: Cause) -> None:
        self.causes.append(cause)
        self.presence.append(("disconnected", device_id, reason))

    def write(self, device_id: int, level: str, message: str, source: str = "hub") -> bool:
        self.lines.append((device_id, message))
        return True

    async def status(self, device: DeviceIdentity, body: bytes) -> None:
        await self._note(device, "status", body)

    async def logs(self, device: DeviceIdentity, body: bytes) -> None:
        await self._note(device, "logs", body)

    async def shadow(self, device: DeviceIdentity, body: bytes) -> None:
        await self._note(device, "shadow", body)

    async def take(self, device: DeviceIdentity, said: Published, body: bytes) -> Answer | None:
        await self._note(device, said.kind, body)
        return None

    async def _note(self, device: DeviceIdentity, kind: str, body: bytes) -> None:
        if self.report_gate is not None:
            await self.report_gate.wait()
        if self.report_error is not None:
            raise self.report_error
        self.reports.append((device.device_id, kind, body))

    async def task(self, task_id: int, verb: str, device: DeviceIdentity, body: bytes) -> None:
        await self._note(device, f"{verb} {task_id}", body)


@dataclass
class MemoryDirectory:
    """Devices 7 and 8 belong to the user's organization, 9 doesn't."""

    lasts: dict[tuple[int, str], bytes] = field(default_factory=dict)
    found: DeviceIdentity | None = None
    before_last: Callable[[], Awaitable[None]] | None = None

    async def find(self, device_id: int) -> DeviceIdentity | None:
        return self.found

    async def visible(self, user: UserPrincipal, name: str | None, scope: str) -> Sequence[DeviceIdentity]:
        reach = [one for one in (DEVICE, OTHER, FOREIGN) if user.can(scope, one.organization_id, one.home_id)]
        return [one for one in reach if name is None or name in {str(one.device_id), one.device_uid}]

    async def last(self, device: DeviceIdentity, leaf: str) -> bytes | None:
        if self.before_last is not None:
            await self.before_last()
        return self.lasts.get((device.device_id, leaf))


@dataclass
class MemoryFeed:
    """Sends what waits, if anything does; may be held back."""

    waiting: bytes | None = None
    gate: asyncio.Event | None = None

    async def subscribed(self, device: DeviceIdentity, listening: Heard) -> None:
        told = listening.told
        if self.gate is not None:
            await self.gate.wait()
        if self.waiting is not None and listening.told == told:
            listening.send(self.waiting)


class MemoryAudit:
    """What would stand in the audit log."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.refused_connects: list[str | None] = []
        self.refused_topics: list[tuple[str, str]] = []

    def entered(self, principal: DeviceIdentity | UserPrincipal, address: str) -> None:
        self.entries.append((principal, address))

    def connect_refused(self, name: str | None, address: str, error: SignInError) -> None:
        self.refused_connects.append(name)

    def topic_refused(
        self, action: str, principal: DeviceIdentity | UserPrincipal | None, address: str, topic: str, reason: Reason
    ) -> None:
        self.refused_topics.append((action, topic))


class Endpoint:
    """A running server and everything around it."""

    def __init__(self, folder: Path, rate_per_minute: int, **settings: Any) -> None:
        self.log = MemoryLog()
        self.clock = SystemClock()
        self.ingest = Ingest(self.log, self.clock, rate_per_minute)
        self.identities = MemoryIdentities({TOKEN: DEVICE, OTHER_TOKEN: OTHER})
        self.notes = Notes()
        self.audit = MemoryAudit()
        self.bus = Bus()
        self.directory = MemoryDirectory()
        self.feed = MemoryFeed()
        self.settings = Settings(_env_file=None, data_dir=folder, mqtt_port=0, **settings)
        self.server = self._make_server()
        self.principal = USER
        self.user_error: Exception | None = None
        self._clients: list[RawClient] = []
        self._names = itertools.count()

    def _make_server(self) -> MqttServer:
        return MqttServer(
            self.settings,
            self.ingest,
            self.identities,
            presence=self.notes,
            device_logs=self.notes,
            bus=self.bus,
            reports=self.notes,
            directory=self.directory,
            authenticate_user=self._authenticate_user,
            clock=self.clock,
            audit=self.audit,
            foreign=self.notes,
            feeds={"shadow/delta": self.feed},
        )

    async def restart(self) -> None:
        """Another server, with the settings of this moment."""
        await self.server.stop()
        self.server = self._make_server()
        await self.server.start()

    async def _authenticate_user(self, token: str) -> UserPrincipal:
        if self.user_error is not None:
            raise self.user_error
        if token != USER_TOKEN:
            raise Unauthorized("This token is not good.")
        return self.principal

    async def start(self) -> None:
        self.ingest.start()
        await self.server.start()

    async def stop(self) -> None:
        self.log.open_gate.set()
        for client in self._clients:
            await client.close()
        await self.server.stop()
        await self.ingest.stop()

    async def open(self, *, narrow: bool = False) -> RawClient:
        """A connection that has said nothing yet; `narrow` with next to no buffers."""
        client = await (RawClient.open_narrow if narrow else RawClient.open)(self.server.port)
        self._clients.append(client)
        return client

    async def device(self, version: int = 4, token: str = TOKEN, **fields: Any) -> RawClient:
        """A device that has been let in."""
        client = await self.open(narrow=fields.pop("narrow", False))
        fields.setdefault("user_name", "8" if token == OTHER_TOKEN else "7")
        fields.setdefault("client_id", f"client-{next(self._names)}")
        answer = await client.sign_in(token, version, **fields)
        assert answer.reason == 0, answer
        return client

    async def user(self, version: int = 4, **fields: Any) -> RawClient:
        """A user who has been let in."""
        return await self.device(version, USER_TOKEN, **{"user_name": "a@example.org", **fields})

    def stored(self) -> list[dict[str, Any]]:
        """The readings on disk, in order."""
        return [message.readings for _, message in self.log.rows]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of production: its transports are what the sessions lean on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """An endpoint without a rate limit."""
    running = Endpoint(tmp_path, 0)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def strict_endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """An endpoint that takes two messages a minute from a device."""
    running = Endpoint(tmp_path, 2)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encryption = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(pem, pkcs8, encryption))
    return paths
