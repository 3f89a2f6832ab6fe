"""Which messages stay in the spool, and which go, whatever the hub says."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from roost_device.errors import NotNow, Refused, TokenRefused
from roost_device.sending import Sender
from roost_device.spool import Spool
from roost_device.storage import Storage


class Hub:
    """Takes messages unless `says` raises."""

    def __init__(self, says: Callable[[list[int]], None] = lambda _numbers: None) -> None:
        self._says = says
        self.has: list[int] = []

    def deliver(self, body: bytes) -> None:
        numbers = [message["payload"]["n"] for message in json.loads(body)]
        self._says(numbers)
        self.has += numbers


def _spool(folder: Path, count: int = 4) -> Spool:
    spool = Spool(Storage(folder))
    for number in range(count):
        spool.append({"n": number})
    return spool


def test_what_is_acknowledged_goes(tmp_path: Path) -> None:
    spool, hub = _spool(tmp_path), Hub()
    Sender(spool, hub, threading.Event()).send_some()
    assert hub.has == [0, 1, 2, 3]
    assert len(spool) == 0


@pytest.mark.parametrize(
    "error",
    [NotNow("away"), TokenRefused(401, "", "revoked"), Refused(402, "quota", "plan"), Refused(403, "", "a proxy")],
)
def test_what_is_not_acknowledged_stays(tmp_path: Path, error: Exception) -> None:
    def says(_numbers: list[int]) -> None:
        raise error

    spool = _spool(tmp_path)
    with pytest.raises((NotNow, TokenRefused)):
        Sender(spool, Hub(says), threading.Event()).send_some()
    assert len(spool) == 4


def test_one_message_that_is_no_good_does_not_hold_up_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def says(numbers: list[int]) -> None:
        if 2 in numbers:
            raise Refused(422, "invalid", "key too long")

    spool, hub = _spool(tmp_path), Hub(says)
    Sender(spool, hub, threading.Event()).send_some()
    assert hub.has == [0, 1, 3]
    assert len(spool) == 0
    assert "dropped: 422 key too long" in caplog.text


@pytest.mark.parametrize("code", ["time_too_early", "time_in_future", ""])
def test_what_a_clock_that_is_not_set_has_measured_arrives_without_its_time(tmp_path: Path, code: str) -> None:
    class Believer(Hub):
        def deliver(self, body: bytes) -> None:
            if any(message.get("ts") == 5 for message in json.loads(body)):
                raise Refused(422, code, "`ts` is before 2000.")
            super().deliver(body)

    spool, hub = _spool(tmp_path, 1), Believer()
    spool.append({"n": 1}, ts_ms=5)
    Sender(spool, hub, threading.Event()).send_some()
    assert hub.has == [0, 1]
    assert len(spool) == 0


def test_a_hub_that_goes_away_while_messages_are_sent_one_by_one_gets_the_rest_later(tmp_path: Path) -> None:
    away = True

    def says(numbers: list[int]) -> None:
        if 1 in numbers:
            raise Refused(422, "invalid", "no good")
        if away and 2 in numbers:
            raise NotNow("gone")

    spool, hub = _spool(tmp_path), Hub(says)
    sender = Sender(spool, hub, threading.Event())
    with pytest.raises(NotNow):
        sender.send_some()
    assert hub.has == [0]
    away = False
    sender.send_some()
    assert hub.has == [0, 2, 3]
