"""Requests of the last minute, by a clock that the test turns."""

from roost.ops.traffic import Traffic
from tests.stopped_clock import StoppedClock


def test_a_minute_later_a_request_no_longer_counts() -> None:
    clock = StoppedClock()
    traffic = Traffic(clock)
    for _ in range(3):
        traffic.begin()
    clock.advance(30)
    traffic.begin()
    assert traffic.open == 4
    assert traffic.requests_per_minute == 4
    clock.advance(31)
    assert traffic.requests_per_minute == 1
    clock.advance(30)
    assert traffic.requests_per_minute == 0
    for _ in range(4):
        traffic.end()
    assert traffic.open == 0
