"""From facts to a verdict: pure functions, one for each thing that is looked at.

The thresholds are those that installers use: a Wi-Fi signal below -70 dBm loses packets, below -80 dBm connections.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from roost.core.clock import to_ms
from roost.devices.health.facts import Facts, LatestValue, TelemetryFacts
from roost.devices.presence_record import OFFLINE, ONLINE

Name = Literal["presence", "signal", "battery", "errors", "telemetry", "firmware"]
State = Literal["ok", "warning", "critical", "unknown"]
Health = Literal["good", "fair", "poor", "unknown"]

HOUR_S, DAY_S = 3600, 86_400
_DBM = frozenset({"rssi", "wifi_rssi", "rssi_dbm", "signal_dbm", "signal", "signal_strength"})
_SIGNAL_PERCENT = frozenset({"signal_percent", "signal_quality", "wifi_quality", "link_quality"})
_BATTERY = frozenset({"battery", "battery_percent", "battery_level", "battery_pct", "soc"})
_BATTERY_LOW = frozenset({"battery_low", "low_battery"})
_WEAK_DBM, _LOST_DBM = -70, -80
_WEAK_PERCENT, _LOST_PERCENT = 40, 20
_LOW_PERCENT, _EMPTY_PERCENT = 20, 10
_MANY_ERRORS = 24
_FEWEST_MESSAGES = 8
# Three missing messages are a gap, but nobody is blamed for less than a minute.
_GAP_INTERVALS, _SHORTEST_GAP_MS = 3, 60_000
_LONG_SILENCE_INTERVALS, _SHORTEST_LONG_SILENCE_MS = 10, 600_000
_OLD_FIRMWARE_S = 365 * DAY_S
_VERSION = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){0,5})")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, with a sentence about it and the value that decided."""

    name: Name
    state: State
    detail: str
    value: float | None = None
    unit: str | None = None


def judge(facts: Facts) -> list[Check]:
    """Every check, in the order in which one would look."""
    checks: list[Callable[[Facts], Check]] = [_presence, _signal, _battery, _errors, _telemetry, _firmware]
    return [check(facts) for check in checks]


def verdict(checks: Iterable[Check]) -> Health:
    """The worst of what is known; unknown when the device has never been heard."""
    states = {check.name: check.state for check in checks}
    if states["presence"] == "unknown":
        return "unknown"
    if "critical" in states.values():
        return "poor"
    return "fair" if "warning" in states.values() else "good"


def _presence(facts: Facts) -> Check:
    view = facts.presence
    reason = view.reason or ""
    if view.status == ONLINE:
        return Check("presence", "ok", f"It is online. {reason}".strip())
    if view.cause == "never_heard":
        return Check("presence", "unknown", reason)
    lasting = f" for {_spoken((facts.now - view.since).total_seconds())}" if view.since else ""
    if view.status != OFFLINE:
        state: State = "critical" if view.status == "error" else "warning"
        return Check("presence", state, f"It has said {view.status}{lasting}. {reason}".strip())
    said_so = view.cause in {"goodbye", "reported", "released"}
    return Check("presence", "warning" if said_so else "critical", f"It is offline{lasting}. {reason}".strip())


def _signal(facts: Facts) -> Check:
    found = _newest(facts, _DBM | _SIGNAL_PERCENT)
    if found is None or isinstance(found.value, bool):
        return Check("signal", "unknown", "It does not say how good its signal is.")
    if _is_old(facts, found):
        return Check("signal", "unknown", f"What it said of its signal is {_age(facts, found)} old.")
    dbm = found.value < 0
    weak, lost, unit = (_WEAK_DBM, _LOST_DBM, "dBm") if dbm else (_WEAK_PERCENT, _LOST_PERCENT, "%")
    if not dbm and _leaf(found.key) in {"rssi", "wifi_rssi", "rssi_dbm", "signal_dbm"}:
        return Check("signal", "unknown", f"{found.key} is {found.value:g}, which is no signal in dBm.")
    state, word = _graded(found.value, weak, lost, ("good", "weak", "hardly there"))
    return Check("signal", state, f"Its signal is {word}: {found.value:g} {unit}.", found.value, unit)


def _battery(facts: Facts) -> Check:
    found = _newest(facts, _BATTERY)
    flag = _newest(facts, _BATTERY_LOW)
    if flag is not None and flag.value and (found is None or flag.at_ms > found.at_ms):
        return Check("battery", "warning", "It says that its battery is low.")
    if found is None or isinstance(found.value, bool):
        return Check("battery", "unknown", "It does not say how full a battery is.")
    if found.unit not in {None, "%"} or not 0 <= found.value <= 100:
        return Check(
            "battery", "unknown", f"{found.key} is {found.value:g} {found.unit or ''}".strip() + ", no percentage."
        )
    if _is_old(facts, found):
        return Check("battery", "unknown", f"What it said of its battery is {_age(facts, found)} old.")
    state, word = _graded(found.value, _LOW_PERCENT, _EMPTY_PERCENT, ("charged", "low", "nearly empty"))
    return Check("battery", state, f"Its battery is {word}: {found.value:g} %.", found.value, "%")


def _errors(facts: Facts) -> Check:
    said = [_counted(facts.errors, "error"), _counted(facts.refusals, "refused message")]
    wrong = facts.errors + facts.refusals
    if not wrong:
        return Check("errors", "ok", "No errors in the last 24 hours.", 0, "per day")
    state: State = "critical" if wrong >= _MANY_ERRORS else "warning"
    named = " and ".join(part for part in said if part)
    return Check("errors", state, f"{named} in the last 24 hours.", wrong, "per day")


def _telemetry(facts: Facts) -> Check:
    sent = facts.telemetry
    if sent is None:
        return Check("telemetry", "unknown", "What it has sent cannot be read at the moment.")
    if sent.last_received_ms is None:
        return Check("telemetry", "unknown", "It has sent no telemetry yet.")
    return _silence_and_gaps(facts, sent, max(0, to_ms(facts.now) - sent.last_received_ms))


def _silence_and_gaps(facts: Facts, sent: TelemetryFacts, silence_ms: int) -> Check:
    last = f"The last message came {_spoken(silence_ms / 1000)} ago"
    interval_ms = _interval_ms(sent)
    if interval_ms is None:
        return Check("telemetry", "ok", f"{last}; it sends irregularly.", silence_ms / 1000, "s")
    usual = f"usually there is one every {_spoken(interval_ms / 1000)}"
    if silence_ms > max(_LONG_SILENCE_INTERVALS * interval_ms, _SHORTEST_LONG_SILENCE_MS):
        return Check("telemetry", "critical", f"{last}; {usual}.", silence_ms / 1000, "s")
    if silence_ms > max(_GAP_INTERVALS * interval_ms, _SHORTEST_GAP_MS):
        return Check("telemetry", "warning", f"{last}; {usual}.", silence_ms / 1000, "s")
    gaps = _gaps(facts, sent, interval_ms)
    if gaps:
        spoken = f"{_counted(len(gaps), 'gap')} in the last 24 hours, the longest {_spoken(max(gaps) / 1000)}"
        return Check("telemetry", "warning", f"{spoken}; {usual}.", len(gaps), "gaps")
    return Check("telemetry", "ok", f"{last}; {usual}, without gaps.", silence_ms / 1000, "s")


def _firmware(facts: Facts) -> Check:
    version = facts.firmware_version
    if version is None:
        return Check("firmware", "unknown", "It does not say which firmware it runs.")
    age_s = (facts.now - facts.firmware_at).total_seconds() if facts.firmware_at else None
    runs = f"It has run {version} for {_spoken(age_s)}" if age_s is not None else f"It runs {version}"
    days = round(age_s / DAY_S, 1) if age_s is not None else None
    newer = _newest_version(version, facts.peers)
    if newer is not None:
        count = facts.peers[newer]
        others = f"{count} others of its type run" if count > 1 else "another one of its type runs"
        return Check("firmware", "warning", f"{runs}; {others} {newer}.", days, "days")
    if age_s is not None and age_s > _OLD_FIRMWARE_S:
        return Check("firmware", "warning", f"{runs}; look for a newer one.", days, "days")
    return Check("firmware", "ok", f"{runs}.", days, "days" if days is not None else None)


def _newest(facts: Facts, names: Collection[str]) -> LatestValue | None:
    latest = facts.telemetry.latest if facts.telemetry is not None else ()
    return max((one for one in latest if _leaf(one.key) in names), key=lambda one: one.at_ms, default=None)


def _leaf(key: str) -> str:
    return key.rpartition(".")[2].lower()


def _is_old(facts: Facts, found: LatestValue) -> bool:
    return to_ms(facts.now) - found.at_ms > DAY_S * 1000


def _age(facts: Facts, found: LatestValue) -> str:
    return _spoken((to_ms(facts.now) - found.at_ms) / 1000)


def _graded(value: float, low: float, lowest: float, words: tuple[str, str, str]) -> tuple[State, str]:
    if value < lowest:
        return "critical", words[2]
    return ("warning", words[1]) if value < low else ("ok", words[0])


def _interval_ms(sent: TelemetryFacts) -> float | None:
    """How often it sends; None when it has sent too little, or at no regular times, to say."""
    steps = sorted(_steps(sent.observed_ms))
    if len(steps) < _FEWEST_MESSAGES:
        return None
    usual = median(steps)
    return usual if steps[len(steps) * 3 // 4] <= 2 * usual else None


def _steps(moments: Sequence[int]) -> list[int]:
    ordered = sorted(set(moments))
    return [after - before for before, after in pairwise(ordered)]


def _gaps(facts: Facts, sent: TelemetryFacts, interval_ms: float) -> list[int]:
    recent = [moment for moment in sent.observed_ms if to_ms(facts.now) - moment <= DAY_S * 1000]
    longest = max(_GAP_INTERVALS * interval_ms, _SHORTEST_GAP_MS)
    return [step for step in _steps(recent) if step > longest]


def _newest_version(own: str, peers: dict[str, int]) -> str | None:
    number = _number(own)
    if number is None:
        return None
    newer = [(other, version) for version in peers if (other := _number(version)) is not None and other > number]
    return max(newer)[1] if newer else None


def _number(version: str) -> tuple[int, ...] | None:
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        return None
    parts = [int(part) for part in found[1].split(".")]
    return tuple(parts + [0] * (6 - len(parts)))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}" if count else ""


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 2 * DAY_S:
        return f"{round(seconds / HOUR_S)} h"
    return f"{round(seconds / DAY_S)} days"
