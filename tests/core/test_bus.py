"""Events within a process."""

import logging
from typing import Any

import pytest

from roost.core.bus import Bus
from tests.waiting import until


def test_subscribers_hear_their_prefix_in_order() -> None:
    bus, heard = Bus(), list[tuple[str, dict[str, Any]]]()
    stop = bus.subscribe("device.", lambda subject, message: heard.append((subject, message)))
    bus.publish("device.created", {"device_id": 1})
    bus.publish("session.revoked", {"session_id": 1})
    bus.publish("device.deleted", {"device_id": 1})
    stop()
    stop()
    bus.publish("device.created", {"device_id": 2})
    assert heard == [("device.created", {"device_id": 1}), ("device.deleted", {"device_id": 1})]


async def test_a_failing_subscriber_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, heard = Bus(), list[str]()

    def fail(subject: str, message: dict[str, Any]) -> None:
        raise RuntimeError("no")

    async def fail_later(subject: str, message: dict[str, Any]) -> None:
        raise RuntimeError("not later either")

    async def hear(subject: str, message: dict[str, Any]) -> None:
        heard.append(subject)

    for handler in (fail, fail_later, hear):
        bus.subscribe("", handler)
    with caplog.at_level(logging.ERROR):
        bus.publish("device.created", {})
        await until(lambda: heard == ["device.created"] and len(caplog.records) == 2)
    await bus.close()
