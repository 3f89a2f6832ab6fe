"""The most specific policy counts, and says until when."""

import pytest

from roost.telemetry.retention.rules import DAY_MS, NEVER, Cutoffs, Rule, matches, rules_for

NOW = 1_790_000_000_000
HUB = Rule(1, None, None, None, 365)
HUB_METERS = Rule(2, None, "meter", None, 730)
HUB_DEBUG = Rule(3, None, None, "debug.*", 7)
OURS = Rule(4, 5, None, None, None)
OUR_DEBUG = Rule(5, 5, None, "debug.*", 30)
OUR_RADIO = Rule(6, 5, None, "debug.radio.*", 2)
EVERY = (HUB, HUB_METERS, HUB_DEBUG, OURS, OUR_DEBUG, OUR_RADIO)


@pytest.mark.parametrize(
    ("organization_id", "device_type", "key", "days"),
    [
        (5, "meter", "temp_c", None),  # the organization's own, which is for ever
        (5, None, "debug.free", 30),
        (5, None, "debug.radio.rssi", 2),  # the longer pattern
        (6, "meter", "temp_c", 730),
        (6, "plug", "temp_c", 365),
        (6, "meter", "debug.free", 7),  # a series before a type
        (None, None, "temp_c", 365),
    ],
)
def test_the_most_specific_policy_counts(
    organization_id: int | None, device_type: str | None, key: str, days: int | None
) -> None:
    cutoffs = Cutoffs(rules_for(EVERY, organization_id, device_type), NOW)
    assert cutoffs.of(key) == (NEVER if days is None else NOW - days * DAY_MS)


def test_without_a_policy_everything_is_kept() -> None:
    cutoffs = Cutoffs(rules_for((OURS, OUR_DEBUG), 6, None), NOW)
    assert (cutoffs.of("temp_c"), cutoffs.whole, cutoffs.earliest, cutoffs.latest) == (NEVER, NEVER, NEVER, NEVER)


def test_events_go_by_the_policy_about_all_series() -> None:
    cutoffs = Cutoffs(rules_for((HUB, HUB_DEBUG), 6, None), NOW)
    assert cutoffs.whole == cutoffs.earliest == NOW - 365 * DAY_MS
    assert cutoffs.latest == NOW - 7 * DAY_MS
    assert Cutoffs(rules_for((HUB_DEBUG,), 6, None), NOW).whole == NEVER


def test_of_two_alike_the_one_that_keeps_longer_counts() -> None:
    ends, begins = Rule(1, 5, None, "*.raw", 5), Rule(2, 5, None, "adc*", 9)
    forward = Cutoffs(rules_for((ends, begins, HUB), 5, None), NOW)
    assert forward.of("adc.raw") == NOW - 5 * DAY_MS  # four letters before three
    longer = Rule(3, 5, None, "ad*w", 90)
    assert Cutoffs(rules_for((begins, longer), 5, None), NOW).of("adcw") == NOW - 90 * DAY_MS


@pytest.mark.parametrize(
    ("pattern", "key", "is_about"),
    [
        ("temp_c", "temp_c", True),
        ("temp_c", "temp_cc", False),
        ("debug.*", "debugs", False),
        ("*.raw", "a\nb.raw", True),
        ("a*b*c", "a-b-b-c", True),
        ("[a-z]", "b", False),
        ("*", "", True),
        ("**", "x", True),
    ],
)
def test_an_asterisk_is_all_there_is_to_patterns(pattern: str, key: str, is_about: bool) -> None:
    assert matches(pattern, key) is is_about
