"""What the policies mean for each device: worked out where the database is, carried out where the telemetry is."""

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import select

from roost.core.database import Database
from roost.devices.models import Device
from roost.telemetry.retention.repository import list_rules
from roost.telemetry.retention.rules import NEVER, Cutoffs, Guard, Rule, rules_for

DEVICES_AT_ONCE = 10_000


class Group(msgspec.Struct):
    """Devices for which the same rules count."""

    rules: tuple[Rule, ...]
    device_ids: list[int]


class Plan(msgspec.Struct):
    """All devices for which anything but "for ever" counts; `floor_days`: older than this nothing is kept of any."""

    groups: list[Group]
    floor_days: int | None = None

    @property
    def is_empty(self) -> bool:
        return not self.groups and self.floor_days is None

    @property
    def folds(self) -> bool:
        """Whether buckets stay of anything."""
        return any(rule.bucket_ms is not None for group in self.groups for rule in group.rules)

    def cutoffs(self, now_ms: int, guard: Guard | None = None) -> dict[int, Cutoffs]:
        """Those of each device of which something may be too old."""
        return dict(self._cutoffs(now_ms, guard))

    def _cutoffs(self, now_ms: int, guard: Guard | None) -> Iterator[tuple[int, Cutoffs]]:
        for group in self.groups:
            cutoffs = Cutoffs(group.rules, now_ms, guard)
            if cutoffs.latest > NEVER:
                for device_id in group.device_ids:
                    yield device_id, cutoffs


async def make_plan(database: Database) -> Plan:
    """The plan for this moment's policies and devices."""
    async with database.read() as session:
        policies = await list_rules(session)
    if not policies:
        return Plan([])
    groups: dict[tuple[int | None, str | None], Group] = {}
    last_id = 0
    while True:
        query = select(Device.id, Device.organization_id, Device.type).where(Device.id > last_id)
        async with database.read() as session:
            rows = (await session.execute(query.order_by(Device.id).limit(DEVICES_AT_ONCE))).all()
        for device_id, organization_id, device_type in rows:
            last_id = device_id
            kind = (organization_id, device_type)
            if kind not in groups:
                groups[kind] = Group(rules_for(policies, *kind), [])
            groups[kind].device_ids.append(device_id)
        if len(rows) < DEVICES_AT_ONCE:
            break
    # What is left of devices that are gone goes by what counts for all.
    everybody = [rules_for(policies, None, None), *(group.rules for group in groups.values())]
    return Plan([group for group in groups.values() if group.rules], _floor(everybody))


def _floor(every: Sequence[Sequence[Rule]]) -> int | None:
    longest = 0
    for rules in every:
        if not rules or rules[-1].key_pattern is not None:
            return None
        for rule in rules:
            if rule.life_days is None:
                return None
            longest = max(longest, rule.life_days)
    return longest
