"""Token buckets."""

import pytest

from roost.core.errors import TooMany
from roost.core.rates import RateLimiter
from tests.stopped_clock import StoppedClock


def test_a_burst_then_the_rate() -> None:
    clock = StoppedClock()
    limiter = RateLimiter(clock, per_minute=60, burst=3)
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a") == pytest.approx(1)
    assert limiter.take("b") == 0
    clock.advance(1)
    assert limiter.wait_s("a") == 0
    assert limiter.take("a") == 0
    with pytest.raises(TooMany) as refused:
        limiter.check("a", "Slower.")
    assert refused.value.headers["Retry-After"] == "1"


def test_given_back_and_forgotten() -> None:
    limiter = RateLimiter(StoppedClock(), per_minute=1, burst=2)
    limiter.take("a")
    limiter.give_back("a")
    limiter.give_back("never seen")
    assert [limiter.take("a"), limiter.take("a")] == [0, 0]
    assert limiter.take("a") > 0
    limiter.forget("a")
    assert limiter.take("a") == 0


def test_many_keys_do_not_fill_the_memory() -> None:
    limiter = RateLimiter(StoppedClock(), per_minute=1, burst=1, capacity=100)
    for number in range(1_000):
        limiter.take(str(number))
    assert len(limiter) == 100


def test_zero_is_no_limit() -> None:
    limiter = RateLimiter(StoppedClock(), per_minute=0, burst=1)
    assert all(limiter.take("a") == 0 for _ in range(100))
