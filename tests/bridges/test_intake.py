"""A message of the broker is acknowledged when it is on disk, and not before."""

import asyncio
from typing import Any, cast

from roost.bridges.config import BridgeConfig
from roost.bridges.devices import HeardDevices, NoDevice
from roost.bridges.intake import BridgeIntake, Incoming
from roost.bridges.mapping import Source
from roost.bridges.standing import Standing
from roost.bridges.topics import TopicPattern
from roost.core.clock import SystemClock
from roost.devices.identity import DeviceIdentity
from roost.telemetry.ingest import Ingest
from roost.telemetry.refusals import Refusal, invalid, too_often, unavailable
from tests.waiting import until

CONFIG = BridgeConfig(
    id=1, organization_id=1, home_id=None, name="House", url="mqtt://127.0.0.1", version="5", user_name=None,
    sealed_password=None, ca_certificate=None, client_id="roost-1", sources=(Source(TopicPattern("t/{device}")),),
    register_devices=False, discovery_prefix=None, leaving=False, ended_at=None, stale_filters=(),
)  # fmt: skip


class SlowLog:
    """The telemetry path, whose answers the test gives."""

    full = False

    def __init__(self) -> None:
        self.submitted: list[tuple[Any, object]] = []

    def submit(self, _device: DeviceIdentity, _kind: str, _body: bytes, sink: Any, token: object) -> None:
        self.submitted.append((sink, token))

    def answer(self, refusal: Refusal | None = None) -> None:
        """Everything that waits."""
        waiting, self.submitted = self.submitted, []
        for sink, token in waiting:
            sink.settle(token, refusal)
            sink.flush()


class Names:
    """Two devices."""

    async def find(self, device_uid: str) -> DeviceIdentity:
        if device_uid == "stranger":
            raise NoDevice("Nobody goes by this name.")
        return DeviceIdentity(7, device_uid, 1, None)


class Case:
    """An intake between a log and a broker that both note what happens."""

    def __init__(self) -> None:
        self.log = SlowLog()
        self.acknowledged: list[int] = []
        self.lines: list[str] = []
        self.standing = Standing(SystemClock())
        self.intake = BridgeIntake(
            CONFIG, cast("Ingest", self.log), devices=cast("HeardDevices", Names()), standing=self.standing,
            write_log=lambda _id, _level, line: self.lines.append(line), acknowledge=self.acknowledged.append,
        )  # fmt: skip

    async def take(self, packet_id: int, device: str = "boiler", payload: bytes = b'{"n": 1}') -> None:
        await self.intake.take(Incoming(f"t/{device}", payload, packet_id))


async def test_the_acknowledgement_waits_for_the_log() -> None:
    case = Case()
    await case.take(1)
    await case.take(2)
    assert case.acknowledged == []
    case.log.answer()
    assert case.acknowledged == [1, 2]
    assert case.intake.unanswered == 0


async def test_what_can_never_be_taken_is_acknowledged_and_told() -> None:
    case = Case()
    await case.take(1, "stranger")
    assert case.acknowledged == [1]
    assert case.standing.problem == "t/stranger: Nobody goes by this name."
    await case.take(2)
    case.log.answer(invalid("no_readings", "It holds no number."))
    assert case.acknowledged == [1, 2]
    assert case.lines == ["A message was refused. It holds no number."]


async def test_a_device_above_its_rate_waits_and_is_not_acknowledged() -> None:
    case = Case()
    await case.take(1)
    case.log.answer(too_often(60, 0))
    assert case.acknowledged == []
    await until(lambda: case.log.submitted, what="The second try")
    case.log.answer()
    assert case.acknowledged == [1]


async def test_while_nothing_can_be_stored_nothing_more_is_taken() -> None:
    case = Case()
    await case.take(1)
    case.log.answer(unavailable("The log is away."))
    assert await asyncio.wait_for(case.intake.failed, 1) == "The log is away."
    await case.take(2)
    assert case.log.submitted == []
    assert case.acknowledged == []


async def test_an_answer_after_the_end_of_the_connection_acknowledges_nothing_on_the_next() -> None:
    case = Case()
    await case.take(1)
    case.intake.close()
    case.log.answer()
    assert case.acknowledged == []
