from roost_device.backoff import Backoff


def test_pauses_double_up_to_a_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(first_s=1, longest_s=6, chance=lambda: 1.0)
    assert [backoff.pause_s() for _ in range(5)] == [1, 2, 4, 6, 6]
    backoff.reset()
    assert backoff.pause_s() == 1


def test_a_pause_is_any_moment_below_its_limit() -> None:
    assert Backoff(first_s=8, chance=lambda: 0.0).pause_s() == 0
    assert Backoff(first_s=8, chance=lambda: 0.25).pause_s() == 2


def test_a_device_never_comes_back_before_the_hub_asked_it_to() -> None:
    assert Backoff(first_s=4, chance=lambda: 0.0).pause_s(30) == 30
    assert Backoff(first_s=4, chance=lambda: 0.5).pause_s(30) == 32


def test_a_month_of_failures_is_no_trouble() -> None:
    backoff = Backoff(longest_s=300, chance=lambda: 1.0)
    assert max(backoff.pause_s() for _ in range(10_000)) == 300
