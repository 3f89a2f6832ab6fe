"""What is said about a device, given what is known of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roost.core.clock import to_ms
from roost.devices.health.facts import Facts, LatestValue, TelemetryFacts
from roost.devices.health.judgement import Check, judge, verdict
from roost.devices.presence_memory import PresenceView

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_MS = to_ms(NOW)
ONLINE = PresenceView("online", NOW, NOW - timedelta(hours=3), "Connected over MQTT.")
EVERY_TEN_SECONDS = TelemetryFacts((), [NOW_MS - 10_000 * n for n in range(200)], NOW_MS - 5_000)
WELL = Facts(NOW, ONLINE, EVERY_TEN_SECONDS, firmware_version="1.2.0", firmware_at=NOW - timedelta(days=12))


def _check(name: str, facts: Facts) -> Check:
    return next(check for check in judge(facts) if check.name == name)


def _with_value(key: str, value: float | bool, unit: str | None = None, age_s: float = 10) -> Facts:
    latest = [LatestValue(key, value, unit, NOW_MS - int(age_s * 1000)), LatestValue("temp_c", 20.0, "C", NOW_MS)]
    return replace(WELL, telemetry=replace(EVERY_TEN_SECONDS, latest=latest))


def test_a_device_that_is_well() -> None:
    checks = judge(WELL)
    assert verdict(checks) == "good"
    assert [(check.name, check.state) for check in checks] == [
        ("presence", "ok"), ("signal", "unknown"), ("battery", "unknown"), ("errors", "ok"), ("telemetry", "ok"),
        ("firmware", "ok"),
    ]  # fmt: skip
    assert _check("telemetry", WELL).detail == (
        "The last message came 5 s ago; usually there is one every 10 s, without gaps."
    )
    assert _check("firmware", WELL).detail == "It has run 1.2.0 for 12 days."


@pytest.mark.parametrize(
    ("status", "cause", "reason", "state", "health"),
    [
        ("offline", "keep_alive", "Nothing was heard from it within its keep-alive time.", "critical", "poor"),
        ("offline", "will", "The connection was lost. Its will says: gone", "critical", "poor"),
        ("offline", "goodbye", "It disconnected.", "warning", "fair"),
        ("offline", "never_heard", "It has never been heard.", "unknown", "unknown"),
        ("error", None, "Sensor broken", "critical", "poor"),
        ("updating", None, "Two minutes to go", "warning", "fair"),
    ],
)
def test_why_it_is_not_there(status: str, cause: Any, reason: str, state: str, health: str) -> None:
    facts = replace(WELL, presence=PresenceView(status, NOW, NOW - timedelta(hours=3), reason, cause=cause))
    check = _check("presence", facts)
    assert (check.state, verdict(judge(facts))) == (state, health)
    assert reason in check.detail
    assert ("for 3 h" in check.detail) == (cause != "never_heard")


@pytest.mark.parametrize(
    ("key", "value", "unit", "state"),
    [
        ("wifi.rssi", -60, "dBm", "ok"), ("rssi", -75, None, "warning"), ("rssi", -85, None, "critical"),
        ("rssi", 40, None, "unknown"), ("link_quality", 30, "%", "warning"), ("signal", 80, None, "ok"),
        ("signal", 10, None, "critical"), ("noise", -90, None, "unknown"),
    ],
)  # fmt: skip
def test_signals(key: str, value: float, unit: str | None, state: str) -> None:
    assert _check("signal", _with_value(key, value, unit)).state == state


@pytest.mark.parametrize(
    ("key", "value", "unit", "state"),
    [
        ("battery", 80, "%", "ok"), ("power.battery_level", 15, None, "warning"), ("soc", 5, "%", "critical"),
        ("battery", 3.7, "V", "unknown"), ("battery", 120, None, "unknown"), ("battery_low", True, None, "warning"),
        ("battery_low", False, None, "unknown"), ("battery", True, None, "unknown"),
    ],
)  # fmt: skip
def test_batteries(key: str, value: float, unit: str | None, state: str) -> None:
    assert _check("battery", _with_value(key, value, unit)).state == state


def test_what_was_said_long_ago_does_not_count() -> None:
    for name, key, value in (("battery", "battery", 5), ("signal", "rssi", -90)):
        check = _check(name, _with_value(key, value, age_s=3 * 86_400))
        assert (check.state, "3 days old" in check.detail) == ("unknown", True)


@pytest.mark.parametrize(
    ("errors", "refusals", "state", "detail"),
    [
        (0, 0, "ok", "No errors in the last 24 hours."),
        (1, 0, "warning", "1 error in the last 24 hours."),
        (2, 1, "warning", "2 errors and 1 refused message in the last 24 hours."),
        (0, 30, "critical", "30 refused messages in the last 24 hours."),
    ],
)
def test_errors(errors: int, refusals: int, state: str, detail: str) -> None:
    check = _check("errors", replace(WELL, errors=errors, refusals=refusals))
    assert (check.state, check.detail) == (state, detail)


def _sent(observed: list[int], silent_s: float = 5) -> Facts:
    return replace(WELL, telemetry=TelemetryFacts((), observed, NOW_MS - int(silent_s * 1000)))


def test_silences_and_gaps() -> None:
    regular = list(EVERY_TEN_SECONDS.observed_ms)
    assert _check("telemetry", _sent(regular, silent_s=50)).state == "ok", "nobody is blamed for less than a minute"
    assert _check("telemetry", _sent(regular, silent_s=120)).state == "warning"
    assert _check("telemetry", _sent(regular, silent_s=7200)).state == "critical"
    holed = [moment for n, moment in enumerate(regular) if not 50 <= n < 80 and not 100 <= n < 120]
    gaps = _check("telemetry", _sent(holed))
    assert (gaps.state, gaps.value) == ("warning", 2)
    assert gaps.detail.startswith("2 gaps in the last 24 hours, the longest 5 min; usually there is one every 10 s")
    old = [moment - 2 * 86_400_000 for moment in holed]
    assert "gap" not in _check("telemetry", _sent(regular[:20] + old)).detail.replace("without gaps", "")


def test_who_sends_when_something_happens_has_no_gaps() -> None:
    irregular = [NOW_MS - 1000 * n**3 for n in range(20)]
    assert _check("telemetry", _sent(irregular, silent_s=3000)).state == "ok"
    assert _check("telemetry", _sent([NOW_MS], silent_s=5)).state == "ok"
    nothing = replace(WELL, telemetry=TelemetryFacts())
    assert _check("telemetry", nothing).detail == "It has sent no telemetry yet."
    assert _check("telemetry", replace(WELL, telemetry=None)).state == "unknown"


@pytest.mark.parametrize(
    ("own", "peers", "state", "words"),
    [
        ("1.2.0", {"1.10.0": 1}, "warning", "another one of its type runs 1.10.0"),
        ("v1.2", {"1.2.0": 5, "1.1": 9}, "ok", "It has run v1.2 for"),
        ("1.2.0", {"1.3.0": 3, "nightly": 4}, "warning", "3 others of its type run 1.3.0"),
        ("nightly", {"1.3.0": 3}, "ok", "It has run nightly for"),
    ],
)
def test_newer_firmware_of_others(own: str, peers: dict[str, int], state: str, words: str) -> None:
    check = _check("firmware", replace(WELL, firmware_version=own, peers=peers))
    assert (check.state, words in check.detail) == (state, True)


def test_old_and_unknown_firmware() -> None:
    assert _check("firmware", replace(WELL, firmware_at=NOW - timedelta(days=400))).state == "warning"
    assert _check("firmware", replace(WELL, firmware_at=None)).detail == "It runs 1.2.0."
    assert _check("firmware", replace(WELL, firmware_version=None)).state == "unknown"
