"""What is too old goes, and nothing else, wherever it stands; held against rows in a list, on both databases."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from roost.telemetry import slices, sqlite_log
from roost.telemetry.blocks import file, planning
from roost.telemetry.blocks.sealing import seal_folder
from roost.telemetry.frames import Frame
from roost.telemetry.log import ANY, Log, LogUnavailable
from roost.telemetry.messages import Message
from roost.telemetry.postgres import appending, sealing
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.retention import folder as on_files
from roost.telemetry.retention import tables as on_tables
from roost.telemetry.retention.plan import Group, Plan
from roost.telemetry.retention.rules import DAY_MS, Rule, matches
from roost.telemetry.sqlite_log import SqliteLog
from tests.conftest import DatabaseKind
from tests.telemetry.conftest import NOW, HandClock

DEBUG = Rule(1, 1, None, "debug.*", 2)
ALL = Rule(2, 1, None, None, 20)
FOR_EVER = Rule(3, None, None, None, None)
# Of device 1 most ends, of device 2 only one series, of device 3 nothing.
PLAN = Plan([Group((DEBUG, ALL), [1]), Group((DEBUG, FOR_EVER), [2]), Group((FOR_EVER,), [3])])

Shown = tuple[int, int, str | None, dict[str, Any], dict[str, str]]


class Store:
    """A log of small slices and blocks, what seals it and what applies plans to it."""

    def __init__(
        self, log: Log, seal: Callable[[], Awaitable[None]], apply: Callable[[Plan, int], Awaitable[int]]
    ) -> None:
        self.log, self.seal, self.apply = log, seal, apply

    async def shown(self) -> list[Shown]:
        rows = await self.log.recent([1, 2, 3, 4], 100_000, ANY)
        return [(row.device_id, row.observed_at, row.event_type, row.document(), row.units_by_key()) for row in rows]

    async def readings(self, device_id: int) -> list[tuple[int, str, object]]:
        found: list[tuple[int, str, object]] = []
        async for piece in self.log.pieces(device_id, 0, 2**62):
            assert isinstance(piece, Frame)
            for key, column in piece.columns.items():
                places = range(len(piece.times)) if column.present is None else column.present.nonzero()[0].tolist()
                found += [(int(piece.times[place]), key, column.values[place]) for place in places]
        return sorted(found)


@pytest.fixture
async def store(
    database_kind: DatabaseKind, empty_database_url: str, tmp_path: Path, clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Store]:  # fmt: skip
    for module in (sqlite_log, appending):
        monkeypatch.setattr(module, "SLICE_ROWS", 150)
    for module in (on_files, on_tables):
        monkeypatch.setattr(module, "BLOCKS", 3)
        monkeypatch.setattr(module, "ROWS", 40)
    monkeypatch.setattr(planning, "BLOCK_ROWS", 16)
    if database_kind == "sqlite":
        files = SqliteLog(tmp_path / "telemetry", clock)
        await files.open()
        yield _on_files(files, tmp_path / "telemetry", clock)
        await files.close()
    else:
        rows = PostgresLog(empty_database_url, clock)
        connections = Connections(empty_database_url, clock)
        await rows.open()
        yield _on_tables(rows, connections, clock)
        await connections.close()
        await rows.close()


def _on_files(log: SqliteLog, folder: Path, clock: HandClock) -> Store:
    async def seal() -> None:
        await asyncio.to_thread(log._closer._thread.submit(lambda: None).result)
        await asyncio.to_thread(seal_folder, folder, clock.now_ms())
        await log.let_go()

    return Store(log, seal, lambda plan, now: asyncio.to_thread(on_files.apply_to_folder, folder, plan, now))


def _on_tables(log: PostgresLog, connections: Connections, clock: HandClock) -> Store:
    async def seal() -> None:
        await sealing.seal(connections, clock.now_ms())

    return Store(log, seal, lambda plan, now: on_tables.apply_to_tables(connections, plan, now))


def some_message(chance: random.Random) -> Message:
    """Up to 40 days old, with some of three series, as an event now and then."""
    at = NOW - chance.randrange(40 * 24) * DAY_MS // 24 - chance.randrange(1000)
    names = chance.sample(("debug.rssi", "temp_c", "debug.on"), chance.randint(1, 3))
    readings: dict[str, Any] = {name: chance.choice((chance.random(), chance.randrange(99), True)) for name in names}
    units = {"temp_c": "°C"} if "temp_c" in readings and chance.random() < 0.5 else None
    if chance.random() < 0.1:
        document = {**readings, "note": "opened"}
        return Message(at, NOW, "door", readings, json.dumps(document).encode(), None, None)
    return Message(at, NOW, None, readings, json.dumps(readings).encode(), units, None)


async def fill(log: Log, count: int, chance: random.Random) -> None:
    for _ in range(count // 10):
        messages = [some_message(chance) for _ in range(10)]
        await log.append([chance.randint(1, 4) for _ in messages], messages)


def kept_days(device_id: int, key: str | None) -> float:
    """The plan in other words."""
    if key is not None and matches("debug.*", key) and device_id in {1, 2}:
        return 2
    return 20 if device_id == 1 else float("inf")


def what_stays(rows: list[Shown], now: int) -> list[Shown]:
    """The reference: row by row."""
    left: list[Shown] = []
    for device_id, at, event, document, units in rows:
        if event is not None:
            if at >= now - kept_days(device_id, None) * DAY_MS:
                left.append((device_id, at, event, document, units))
            continue
        kept = {key: value for key, value in document.items() if at >= now - kept_days(device_id, key) * DAY_MS}
        if kept:
            left.append((device_id, at, None, kept, {key: unit for key, unit in units.items() if key in kept}))
    return left


def readings_of(rows: list[Shown], device_id: int) -> set[tuple[int, str, object]]:
    """What these messages and events say in numbers."""
    return {
        (at, key, value)
        for owner, at, _, document, _ in rows
        for key, value in document.items()
        if owner == device_id and key != "note"
    }


async def test_as_row_by_row(store: Store) -> None:
    chance = random.Random(4)
    await fill(store.log, 400, chance)
    await store.seal()
    await fill(store.log, 100, chance)  # some of it reaches back into the blocks, some stays in the newest slice
    before = await store.shown()
    untouched = await store.readings(3)
    expected = what_stays(before, NOW)
    assert len(expected) < len(before)
    assert await store.apply(PLAN, NOW) == len(before) - len(expected)
    assert await store.shown() == expected
    assert await store.readings(3) == untouched
    # Those of an event stay and go with it, also where a series of that name goes earlier.
    for device_id in (1, 2):
        assert set(await store.readings(device_id)) == readings_of(expected, device_id)
    # Once more there is nothing to do, nor after what was left of the slices has been sealed.
    assert await store.apply(PLAN, NOW) == 0
    await fill(store.log, 200, chance)
    await store.seal()
    later = NOW + 3 * DAY_MS
    expected = what_stays(await store.shown(), later)
    await store.apply(PLAN, later)
    assert await store.shown() == expected
    assert (await store.log.size())[0] == len(expected)


async def test_what_nobody_keeps_goes_as_a_whole(store: Store) -> None:
    """Also that of devices of which nothing is left but what they sent."""
    await fill(store.log, 400, random.Random(5))
    await store.seal()
    before = await store.shown()
    everything = Plan([Group((Rule(1, None, None, None, 10),), [1, 2])], floor_days=10)
    deleted = await store.apply(everything, NOW)
    shown = await store.shown()
    assert shown == [row for row in before if row[1] >= NOW - 10 * DAY_MS]
    assert {row[0] for row in shown} == {1, 2, 3, 4}
    assert deleted == len(before) - len(shown)


async def test_a_plan_for_nothing_touches_nothing(store: Store) -> None:
    await fill(store.log, 200, random.Random(6))
    before = await store.shown()
    assert await store.apply(Plan([]), NOW) == 0
    assert await store.apply(Plan([Group((FOR_EVER,), [1, 2, 3])]), NOW) == 0
    assert await store.shown() == before


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_stopped_after_any_transaction(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run that was killed has done stays done, and the next one does the rest."""
    await fill(store.log, 400, random.Random(7))
    await store.seal()
    expected = what_stays(await store.shown(), NOW)
    writing = slices.writing
    stops = 0
    for allowed in range(100):
        left = allowed % 4

        def counted(connection: apsw.Connection) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise InterruptedError
            return writing(connection)

        with monkeypatch.context() as patched:
            patched.setattr(slices, "writing", counted)
            try:
                await store.apply(PLAN, NOW)
                break
            except InterruptedError:
                stops += 1
        assert set(map(str, expected)) <= set(map(str, what_stays(await store.shown(), NOW)))
    assert stops > 3
    assert await store.shown() == expected


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_damaged_block_stays_and_the_others_are_seen_to(store: Store, tmp_path: Path) -> None:
    await fill(store.log, 400, random.Random(8))
    await store.seal()
    blocks = file.connect(tmp_path / "telemetry")
    assert blocks is not None
    with closing(blocks):
        hurt = blocks.execute(
            "SELECT id FROM block WHERE device_id = 1 AND start_at < ?1 AND end_at >= ?1", (NOW - 20 * DAY_MS,)
        ).get
        blocks.execute("UPDATE block_data SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE id = ?", (hurt,))
        with pytest.raises(LogUnavailable):
            await store.apply(PLAN, NOW)
        left = blocks.execute("SELECT id FROM block WHERE device_id = 1 AND start_at < ?", (NOW - 20 * DAY_MS,))
        assert left.fetchall() == [(hurt,)]
    assert not [at for at, key, _ in await store.readings(2) if key.startswith("debug.") and at < NOW - 40 * DAY_MS]
