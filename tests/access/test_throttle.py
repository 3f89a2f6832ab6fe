"""Guessing is slowed down; the owner is not locked out."""

import pytest

from roost.access.throttle import SignInThrottle
from roost.core.errors import TooMany
from tests.stopped_clock import StoppedClock


def fail_until_refused(throttle: SignInThrottle, account: str, address: str, most: int = 1_000) -> int:
    for count in range(most):
        try:
            throttle.enter(account, address)
        except TooMany:
            return count
    return most


def test_one_address_and_one_account() -> None:
    clock = StoppedClock()
    throttle = SignInThrottle(clock)
    assert fail_until_refused(throttle, "ada", "10.0.0.1") == 6
    with pytest.raises(TooMany) as refused:
        throttle.enter("ada", "10.0.0.1")
    assert int(refused.value.headers["Retry-After"]) <= 30
    clock.advance(31)
    throttle.enter("ada", "10.0.0.1")


def test_one_address_and_many_accounts() -> None:
    throttle = SignInThrottle(StoppedClock())
    tried = sum(fail_until_refused(throttle, f"user-{number}", "10.0.0.1") for number in range(50))
    assert tried == 60


def test_many_addresses_and_one_account() -> None:
    throttle = SignInThrottle(StoppedClock())
    throttle.succeeded("ada", "192.168.1.2")
    tried = sum(fail_until_refused(throttle, "ada", f"10.0.0.{number}") for number in range(50))
    assert tried == 30
    # The owner, where the owner has signed in before, is not held back by what strangers do.
    throttle.enter("ada", "192.168.1.2")
    with pytest.raises(TooMany):
        throttle.enter("ada", "10.0.1.1")


def test_success_gives_back() -> None:
    throttle = SignInThrottle(StoppedClock())
    for _ in range(200):
        throttle.enter("ada", "10.0.0.1")
        throttle.succeeded("ada", "10.0.0.1")
