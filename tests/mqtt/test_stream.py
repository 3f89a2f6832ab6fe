"""However TCP cuts the stream: the same packets, in the same order."""

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.devices.identity import DeviceIdentity
from roost.mqtt import codec
from roost.mqtt.connection import Connection
from roost.mqtt.reasons import Reason
from roost.telemetry.refusals import Refusal
from tests.mqtt import wire

TOPIC = "devices/me/telemetry"


class Wire:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Intake:
    """Takes everything and answers at once."""

    full = False

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def submit(self, device: DeviceIdentity, kind: str, body: bytes, sink: Any, token: object) -> None:
        self.bodies.append(body)
        sink.settle(token, None)


class Recorder(Connection):
    """A connection that notes its packets."""

    __slots__ = ("packets",)

    def __init__(self, version: int) -> None:
        super().__init__(Intake())  # type: ignore[arg-type]
        self.packets: list[tuple[int, bytes]] = []
        self.version = version
        self.device = DeviceIdentity(7, "greenhouse-1", 3, 4)
        self.gap = 3 if version == 5 else 2
        self.prefix = wire.text(TOPIC)
        self.kind = "telemetry"
        self.wire = Wire()

    def handle(self, first: int, body: bytes) -> None:
        self.packets.append((first, body))

    def handle_oversized(self, flags: int, start: bytes) -> None:
        self.packets.append((flags, start))

    def refused(self, token: int | None, refusal: Refusal) -> None:
        raise AssertionError(refusal)

    def farewell(self, reason: Reason, detail: str) -> bytes:
        return bytes([reason])


PACKETS = st.one_of(
    st.builds(
        lambda body, pid, v: wire.publish(TOPIC, body, pid, version=v), st.binary(max_size=300), st.just(5), st.just(4)
    ),
    st.builds(lambda body: wire.publish("devices/7/events", body), st.binary(max_size=20)),
    st.just(wire.PING),
    st.builds(lambda size: wire.publish(TOPIC, b"x" * size), st.integers(4000, 9000)),
    st.just(wire.publish(TOPIC, b"0", 0)),
    st.builds(wire.packet, st.integers(0, 255), st.binary(max_size=200)),
)


def _run(version: int, pieces: list[bytes]) -> tuple[object, ...]:
    connection = Recorder(version)
    for piece in pieces:
        connection.data_received(piece)
    line = connection.wire
    assert isinstance(line, Wire)
    assert isinstance(connection.intake, Intake)
    # What is due is written in groups, so only the sum of it is compared.
    return connection.packets, connection.intake.bodies, line.written, line.closed


@settings(deadline=None, max_examples=80)
@given(
    st.lists(PACKETS, max_size=8), st.lists(st.integers(0, 20_000), max_size=12), st.sampled_from([4, 5]), st.booleans()
)
def test_any_split_gives_the_same(packets: list[bytes], cuts: list[int], version: int, bytewise: bool) -> None:
    stream = b"".join(packets)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    if bytewise and len(stream) < 2000:
        pieces = [bytes([byte]) for byte in stream]
    assert _run(version, pieces) == _run(version, [stream] if stream else [])


def test_oversized_311_is_skipped_whatever_the_pieces() -> None:
    stream = wire.publish(TOPIC, b"a" * 10_000, 77) + wire.PING
    for size in (1, 7, 5000, len(stream)):
        connection = Recorder(codec.V311)
        for start in range(0, len(stream), size):
            connection.data_received(stream[start : start + size])
        assert connection.packets == [(2, wire.text(TOPIC) + b"\x00\x4d"), (0xC0, b"")]
        assert connection.rest is None or not connection.rest


async def test_random_streams_after_connect_never_stumble(endpoint: Any) -> None:
    """Whatever follows a good CONNECT, the server lives and says nothing but packets."""
    junk = [bytes((seed * 7 + i * i) % 256 for i in range(200)) for seed in range(40)]

    async def throw(data: bytes) -> None:
        client = await endpoint.device(5)
        await client.send(data, wire.DISCONNECT)
        client.writer.write_eof()
        await client.rest()

    await asyncio.gather(*(throw(data) for data in junk[:15]))
    survivor = await endpoint.device(4)
    await survivor.send(wire.PING)
    assert (await survivor.receive()).kind == 13
