"""Which of several policies counts for a series, and until when that means keeping it. Pure."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

import msgspec

DAY_MS = 24 * 3600 * 1000
# Widths of buckets, in seconds; each divides a day, so that a day is made of whole ones.
BUCKETS_S = {
    "1m": 60, "5m": 300, "10m": 600, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200, "3h": 10_800, "6h": 21_600,
    "12h": 43_200, "1d": 86_400,
}  # fmt: skip
# Before every time there is: nothing is older.
NEVER = -(2**63)
LAST_ID = 2**63 - 1


class Guard(msgspec.Struct, frozen=True):
    """Where there is an archive: what has to be in it before it may go.

    Messages observed before `due_ms` stay until all months before `complete_ms` are in the archive with all messages up
    to `through_id`, and theirs is one of them.
    """

    through_id: int
    complete_ms: int
    due_ms: int

    def holds(self, row_id: int, at: int) -> bool:
        """Whether a message may not go yet."""
        return at < self.due_ms and (at >= self.complete_ms or row_id > self.through_id)

    def may_hold(self, first: int, last: int, last_id: int) -> bool:
        """The same of any of several, from their first and last moment (ms) and their highest id."""
        return first < self.due_ms and (last >= self.complete_ms or last_id > self.through_id)


class Rule(msgspec.Struct, frozen=True):
    """A policy as far as one device has to know it. No pattern: every series; no days: for ever.

    With a bucket (ms), aggregates of buckets of that width stay for `coarse_days` more when readings go.
    """

    policy_id: int
    organization_id: int | None
    device_type: str | None
    key_pattern: str | None
    keep_days: int | None
    bucket_ms: int | None = None
    coarse_days: int | None = None

    @property
    def life_days(self) -> int | None:
        """After how many days nothing is left, not even buckets."""
        if self.bucket_ms is None or self.keep_days is None:
            return self.keep_days
        return None if self.coarse_days is None else self.keep_days + self.coarse_days

    def fits(self, organization_id: int | None, device_type: str | None) -> bool:
        """Whether it is about such a device."""
        return self.organization_id in {None, organization_id} and self.device_type in {None, device_type}

    def place(self) -> tuple[bool, bool, int, bool, float, int]:
        """Sorts what is more specific first, and of two alike the one that keeps for longer."""
        letters = -1 if self.key_pattern is None else len(self.key_pattern.replace("*", ""))
        days = float("inf") if self.life_days is None else self.life_days
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
    """The rules of a device at one moment. Whatever was observed before a series' cutoff (ms) is too old.

    It goes unless `guard` holds it.
    """

    def __init__(self, rules: Sequence[Rule], now_ms: int, guard: Guard | None = None) -> None:
        self._rules = rules
        self._now_ms = now_ms
        self._fitting: dict[str, Rule | None] = {}
        self.guard = guard
        every = [self._at(rule) for rule in rules]
        ends = bool(rules) and rules[-1].key_pattern is None
        self.whole = every[-1] if ends else NEVER
        """That of events, which stay or go as a whole, and of messages without readings."""
        self.earliest = min(every) if ends else NEVER
        """Before this there is nothing left at all."""
        self.latest = max(every, default=NEVER)
        """From here on nothing is too old."""
        self.folds = any(rule.bucket_ms is not None and rule.keep_days is not None for rule in rules)
        """Whether buckets stay of anything."""
        self.whole_bucket = rules[-1].bucket_ms if ends else None

    @cached_property
    def outright(self) -> "Cutoffs":
        """The same for what is left without a trace: buckets, too, are kept no longer."""
        if not self.folds:
            return self
        rules = [
            msgspec.structs.replace(rule, keep_days=rule.life_days, bucket_ms=None, coarse_days=None)
            for rule in self._rules
        ]
        return Cutoffs(rules, self._now_ms, self.guard)

    def holds(self, row_id: int, at: int) -> bool:
        """Whether a message may not go yet, however old it is."""
        return self.guard is not None and self.guard.holds(row_id, at)

    def goes_wholly(self, first: int, last: int, last_id: int) -> bool:
        """Whether nothing is left of what was observed in this time (ms) and came with ids up to `last_id`."""
        held = self.guard is not None and self.guard.may_hold(first, last, last_id)
        return last < self.outright.earliest and not held

    def of(self, key: str) -> int:
        rule = self._rule(key)
        return NEVER if rule is None else self._at(rule)

    def edges(self) -> list[tuple[str | None, int, bool]]:
        """Of each rule the pattern, its cutoff, and whether buckets stay; in the order in which they are tried."""
        return [
            (rule.key_pattern, self._at(rule), rule.bucket_ms is not None and rule.keep_days is not None)
            for rule in self._rules
        ]

    def bucket_of(self, key: str) -> int | None:
        """The width (ms) of the buckets that stay of a series; None if none do."""
        rule = self._rule(key)
        return None if rule is None else rule.bucket_ms

    def _rule(self, key: str) -> Rule | None:
        if key not in self._fitting:
            fitting = (rule for rule in self._rules if rule.key_pattern is None or matches(rule.key_pattern, key))
            self._fitting[key] = next(fitting, None)
        return self._fitting[key]

    def _at(self, rule: Rule) -> int:
        return NEVER if rule.keep_days is None else self._now_ms - rule.keep_days * DAY_MS


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern, in which `*` stands for any letters or none, is about this key."""
    return _compiled(pattern).fullmatch(key) is not None


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)
