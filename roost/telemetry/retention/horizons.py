"""From which moment on the log has everything of a device, series by series: where questions need look nowhere else.

It is told before anything is deleted, and nothing is deleted until whoever asked before it was told has an answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from roost.core.clock import Clock
from roost.core.database import AWAY, Database
from roost.core.errors import RoostError
from roost.devices.models import Device
from roost.telemetry.log import LogUnavailable
from roost.telemetry.retention.models import RetentionHorizon
from roost.telemetry.retention.plan import Plan
from roost.telemetry.retention.rules import NEVER, Cutoffs, matches

# What is known of a device is good for so long; and longer than this and a question together nothing is deleted.
KNOWN_S = 5.0
TOLD_S = 30.0
DEVICES_AT_ONCE = 500
MOST_KNOWN = 20_000
# A device for which ever other policies counted gets one moment for all of its series in the end.
MOST_SETS = 8

_encode = msgspec.json.Encoder().encode


class Edge(msgspec.Struct, array_like=True, frozen=True):
    """Series of a pattern (None: all that are left) may be missing before `at` (ms); `folded`: buckets may be there."""

    pattern: str | None
    at: int
    folded: bool


Edges = tuple[Edge, ...]


class Horizon(msgspec.Struct, array_like=True, frozen=True):
    """The edges of each set of rules that ever counted for a device: in each the first that fits a series is its own.

    Readings of events go with the last edge of a set, if that is about all series.
    """

    sets: tuple[Edges, ...] = ()

    def of(self, keys: Sequence[str] = (), *, folded: bool = False) -> int:
        """Before which moment (ms) any of these series (none: of all) may be missing; `folded`: be in buckets."""
        return max((_edge_of(edges, keys, folded=folded) for edges in self.sets), default=NEVER)

    def widened(self, edges: Edges) -> "Horizon":
        """With another run of retention, which may have had other rules than those before it."""
        shape = [edge.pattern for edge in edges]
        sets, found = [], False
        for known in self.sets:
            if [edge.pattern for edge in known] == shape:
                known = tuple(map(_later, known, edges))  # noqa: PLW2901 - the same set, as it is now
                found = True
            sets.append(known)
        if not found:
            sets.append(edges)
        if len(sets) > MOST_SETS:
            every = [edge for known in sets for edge in known]
            sets = [(Edge(None, max(edge.at for edge in every), any(edge.folded for edge in every)),)]
        return Horizon(tuple(sets))


def _later(known: Edge, edge: Edge) -> Edge:
    return Edge(edge.pattern, max(known.at, edge.at), known.folded or edge.folded)


def _edge_of(edges: Edges, keys: Sequence[str], *, folded: bool) -> int:
    wanted = edges
    if keys:
        own = [
            next((edge for edge in edges if edge.pattern is None or matches(edge.pattern, key)), None) for key in keys
        ]
        events = [edge for edge in edges[-1:] if edge.pattern is None]
        wanted = tuple(edge for edge in (*own, *events) if edge is not None)
    return max((edge.at for edge in wanted if edge.folded or not folded), default=NEVER)


def edges_of(cutoffs: Cutoffs) -> Edges:
    """Where a run of retention with these cutoffs takes something away."""
    return tuple(Edge(*edge) for edge in cutoffs.edges())


@dataclass(frozen=True, slots=True)
class Known:
    """Whose archive a device's readings are in, and from when on that does not matter."""

    organization_id: int | None
    horizon: Horizon


class Horizons:
    """Those of all devices, as the database has them, remembered for seconds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[int, tuple[float, Known]] = {}

    async def of(self, device_ids: Iterable[int]) -> Mapping[int, Known]:
        """Of each of these devices. Raises LogUnavailable."""
        now = self._clock.monotonic()
        found: dict[int, Known] = {}
        missing = []
        for device_id in device_ids:
            at, known = self._known.get(device_id, (now - KNOWN_S, NOTHING))
            if now - at < KNOWN_S:
                found[device_id] = known
            else:
                missing.append(device_id)
        if missing:
            if len(self._known) + len(missing) > MOST_KNOWN:
                self._known.clear()
            for start in range(0, len(missing), DEVICES_AT_ONCE):
                some = missing[start : start + DEVICES_AT_ONCE]
                try:
                    asked = dict.fromkeys(some, NOTHING) | await self._ask(some)
                except (*AWAY, RoostError) as error:
                    raise LogUnavailable(f"Where older telemetry is cannot be looked up: {error}") from error
                self._known |= {device_id: (now, known) for device_id, known in asked.items()}
                found |= asked
        return found

    async def any_folded(self) -> bool:
        """Whether there may be buckets of any device at all. Raises LogUnavailable."""
        # In a set of edges as JSON nothing else is true.
        query = select(RetentionHorizon.device_id).where(RetentionHorizon.rules.contains("true")).limit(1)
        try:
            async with self._database.read() as session:
                return await session.scalar(query) is not None
        except (*AWAY, RoostError) as error:
            raise LogUnavailable(f"Where older telemetry is cannot be looked up: {error}") from error

    async def _ask(self, device_ids: Sequence[int]) -> dict[int, Known]:
        query = select(Device.id, Device.organization_id, RetentionHorizon.rules).where(Device.id.in_(device_ids))
        async with self._database.read() as session:
            rows = await session.execute(query.outerjoin(RetentionHorizon, RetentionHorizon.device_id == Device.id))
            return {row.id: Known(row.organization_id, _decoded(row.rules)) for row in rows}


NOTHING = Known(None, Horizon())


async def tell_horizons(database: Database, plan: Plan, now_ms: int) -> None:
    """Notes what a run of this plan is about to take away."""
    for group in plan.groups:
        cutoffs = Cutoffs(group.rules, now_ms)
        if cutoffs.latest > NEVER:
            edges = edges_of(cutoffs)
            for start in range(0, len(group.device_ids), DEVICES_AT_ONCE):
                await _widen(database, group.device_ids[start : start + DEVICES_AT_ONCE], edges)


async def tell_pruned(database: Database, before_ms: int) -> None:
    """Notes that of every device everything before this moment is about to be taken away."""
    last_id = 0
    while True:
        query = select(Device.id).where(Device.id > last_id).order_by(Device.id).limit(DEVICES_AT_ONCE)
        async with database.read() as session:
            device_ids = list(await session.scalars(query))
        if not device_ids:
            return
        await _widen(database, device_ids, (Edge(None, before_ms, folded=False),))
        last_id = device_ids[-1]


async def _widen(database: Database, device_ids: Sequence[int], edges: Edges) -> None:
    table = RetentionHorizon
    insert: Any = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
    async with database.write() as session:
        there = await session.execute(select(table.device_id, table.rules).where(table.device_id.in_(device_ids)))
        before = {row.device_id: row.rules for row in there}
        # A device that was deleted since the plan was made has nothing to be looked for.
        left = set(await session.scalars(select(Device.id).where(Device.id.in_(device_ids))))
        made: dict[str | None, str] = {}
        rows = []
        for device_id in sorted(left):
            rules = before.get(device_id)
            if rules not in made:
                made[rules] = _encode(_decoded(rules).widened(edges)).decode()
            rows.append({"device_id": device_id, "rules": made[rules]})
        if rows:
            statement = insert(table).values(rows)
            changed = {"rules": statement.excluded.rules}
            await session.execute(statement.on_conflict_do_update(index_elements=["device_id"], set_=changed))


def _decoded(rules: str | None) -> Horizon:
    return Horizon() if rules is None else msgspec.json.decode(rules, type=Horizon)
