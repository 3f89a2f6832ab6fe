"""Which of several policies counts for a series, and until when that means keeping it. Pure."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

DAY_MS = 24 * 3600 * 1000
# Before every time there is: nothing is older.
NEVER = -(2**63)


class Rule(msgspec.Struct, frozen=True):
    """A policy as far as one device has to know it. No pattern: every series; no days: for ever."""

    policy_id: int
    organization_id: int | None
    device_type: str | None
    key_pattern: str | None
    keep_days: int | None

    def fits(self, organization_id: int | None, device_type: str | None) -> bool:
        """Whether it is about such a device."""
        return self.organization_id in {None, organization_id} and self.device_type in {None, device_type}

    def place(self) -> tuple[bool, bool, int, bool, float, int]:
        """Sorts what is more specific first, and of two alike the one that keeps for longer."""
        letters = -1 if self.key_pattern is None else len(self.key_pattern.replace("*", ""))
        days = float("inf") if self.keep_days is None else self.keep_days
        return (
            self.organization_id is None, self.key_pattern is None, -letters, self.device_type is None, -days,
            self.policy_id,
        )  # fmt: skip


def rules_for(policies: Iterable[Rule], organization_id: int | None, device_type: str | None) -> tuple[Rule, ...]:
    """What counts for such a device, in the order in which it is tried; the first without a pattern is the last."""
    kept: list[Rule] = []
    for rule in sorted((one for one in policies if one.fits(organization_id, device_type)), key=Rule.place):
        kept.append(rule)
        if rule.key_pattern is None:
            break
    return tuple(kept)


class Cutoffs:
    """The rules of a device at one moment. Whatever was observed before a series' cutoff (ms) is too old."""

    def __init__(self, rules: Sequence[Rule], now_ms: int) -> None:
        self._rules = rules
        self._now_ms = now_ms
        self._known: dict[str, int] = {}
        every = [self._at(rule) for rule in rules]
        ends = bool(rules) and rules[-1].key_pattern is None
        self.whole = every[-1] if ends else NEVER
        """That of events, which stay or go as a whole, and of messages without readings."""
        self.earliest = min(every) if ends else NEVER
        """Before this there is nothing left at all."""
        self.latest = max(every, default=NEVER)
        """From here on nothing is too old."""

    def of(self, key: str) -> int:
        cutoff = self._known.get(key)
        if cutoff is None:
            fitting = (rule for rule in self._rules if rule.key_pattern is None or matches(rule.key_pattern, key))
            rule = next(fitting, None)
            cutoff = self._known[key] = NEVER if rule is None else self._at(rule)
        return cutoff

    def _at(self, rule: Rule) -> int:
        return NEVER if rule.keep_days is None else self._now_ms - rule.keep_days * DAY_MS


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern, in which `*` stands for any letters or none, is about this key."""
    return _compiled(pattern).fullmatch(key) is not None


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)
