from roost.telemetry.limits import MessageRate

NOW = 1_790_000_000_000


def test_a_minutes_allowance_may_come_at_once_and_then_refills_steadily() -> None:
    rate = MessageRate(60)
    assert [rate.take(1, NOW) for _ in range(60)] == [None] * 60
    refusal = rate.take(1, NOW)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s, refusal.permanent) == (429, 1, False)
    assert rate.take(1, NOW + 1_000) is None
    assert rate.take(1, NOW + 1_000) is not None


def test_devices_do_not_share_an_allowance() -> None:
    rate = MessageRate(1)
    assert rate.take(1, NOW) is None
    assert rate.take(1, NOW) is not None
    assert rate.take(2, NOW) is None


def test_refused_messages_do_not_prolong_the_wait() -> None:
    rate = MessageRate(60)
    for _ in range(600):
        rate.take(1, NOW)
    assert rate.take(1, NOW + 1_000) is None


def test_zero_is_no_limit() -> None:
    rate = MessageRate(0)
    assert all(rate.take(1, NOW) is None for _ in range(1_000))
