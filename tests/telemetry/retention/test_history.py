"""Whatever is sent, late, sealed, archived, down-sampled, deleted, stopped: questions are answered as from a list."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from roost.access.models import Organization
from roost.core.blobs import FileBlobs
from roost.core.clock import rfc3339_from_ms
from roost.core.database import Database
from roost.core.errors import Invalid
from roost.core.settings import Settings
from roost.devices.models import Device
from roost.telemetry import sqlite_log
from roost.telemetry.aggregates import SUMMARISED
from roost.telemetry.analysis.analyst import Analyst
from roost.telemetry.blocks import file, planning
from roost.telemetry.blocks.inspection import damages
from roost.telemetry.blocks.sealing import seal_folder
from roost.telemetry.buckets import FixedBuckets
from roost.telemetry.frames import Frame
from roost.telemetry.log import ArchiveUnavailable, Log, LogUnavailable
from roost.telemetry.messages import Message, Reading
from roost.telemetry.postgres import appending, sealing
from roost.telemetry.postgres.connections import Connections
from roost.telemetry.postgres.upkeep import tell_damages
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.questions import BucketQuestion
from roost.telemetry.retention import carrying, history, horizons
from roost.telemetry.retention import folder as on_files
from roost.telemetry.retention import tables as on_tables
from roost.telemetry.retention.history import History
from roost.telemetry.retention.horizons import Horizons
from roost.telemetry.retention.models import RetentionPolicy
from roost.telemetry.retention.rules import DAY_MS
from roost.telemetry.spans import Span
from roost.telemetry.sqlite_log import SqliteLog
from roost.telemetry.transfer.archive import Archive
from tests.conftest import DatabaseKind
from tests.telemetry.conftest import HandClock

HOUR_MS = DAY_MS // 24
OURS = 1
DEVICES = (1, 2)
# Readings are kept for 45 days and then as hours, those for finding faults for 50 days and then not at all.
KEEP_DAYS, DEBUG_DAYS = 45, 50

Sent = tuple[int, str, int, float]  # device, series, ms, value


class World:
    """A hub's telemetry without the hub, and what was sent to it."""

    def __init__(self, settings: Settings, database: Database, log: Log, clock: HandClock) -> None:
        self.settings, self.database, self.log, self.clock = settings, database, log, clock
        self.blobs = FileBlobs(settings.data_dir / "blobs")
        self.archive = Archive(
            log, TelemetryStore(log, clock), database, self.blobs, clock, settings=settings
        )  # fmt: skip
        self.history = History(log, Horizons(database, clock), self.blobs if settings.archive else None)
        self.analyst = Analyst(log, clock, self.history)
        self.sent: set[Sent] = set()
        self.taken: set[tuple[int, int]] = set()

    async def send(self, chance: random.Random, oldest_days: int, count: int = 12) -> None:
        """Readings and events of up to so many days ago, each at a moment of its own."""
        device_ids, messages = [], []
        for _ in range(count):
            device_id, at = chance.choice(DEVICES), self.clock.ms - chance.randrange(oldest_days * DAY_MS + 1)
            if (device_id, at) in self.taken:
                continue
            self.taken.add((device_id, at))
            event = "door" if chance.random() < 0.1 else None
            names = ["temp_c", "hum"] if event is not None else ["temp_c", "hum", "debug.rssi"]
            kept = chance.sample(names, chance.randint(1, len(names)))
            readings: dict[str, Any] = {name: chance.randrange(-400, 400) / 4 for name in kept}
            message = Message(at, self.clock.ms + 1, event, readings, json.dumps(readings).encode(), {"temp_c": "°C"})
            device_ids.append(device_id)
            messages.append(message)
            self.sent |= {(device_id, key, at, value) for key, value in readings.items()}
        if messages:
            await self.log.append(device_ids, messages)

    async def seal(self) -> None:
        if isinstance(self.log, SqliteLog):
            await asyncio.to_thread(self.log._closer._thread.submit(lambda: None).result)
            await asyncio.to_thread(seal_folder, self.settings.data_dir / "telemetry", self.clock.ms)
            await self.log.let_go()
        else:
            connections = Connections(self.settings.database_url, self.clock)
            await sealing.seal(connections, self.clock.ms)
            await connections.close()

    async def keep(self) -> None:
        """As a hub does every six hours."""
        order = await carrying.make_order(self.database, self.settings, self.clock)
        assert order is not None
        await carrying.carry_out(order)
        if isinstance(self.log, SqliteLog):
            await self.log.let_go()
        if not self.settings.archive:
            edge = self.clock.ms - DEBUG_DAYS * DAY_MS
            self.sent = {one for one in self.sent if one[1] != "debug.rssi" or one[2] >= edge}

    async def answers_as_from_a_list(self, chance: random.Random) -> None:
        now = self.clock.ms
        since = (now - chance.randrange(200 * DAY_MS)) // HOUR_MS * HOUR_MS
        for span in (Span(), Span(since, since + chance.randrange(1, 90 * 24) * HOUR_MS)):
            width, keys = chance.choice((HOUR_MS, DAY_MS)), chance.choice(((), ("temp_c",)))
            found = await self.buckets(span, width, SUMMARISED, keys)
            assert found == self.expected(span, width, keys), (span, width, keys)
        await self.lists_every_reading_once(Span(since, now + 1))

    async def buckets(self, span: Span, width: int, names: tuple[str, ...], keys: tuple[str, ...] = ()) -> Any:
        question = BucketQuestion(FixedBuckets(width), names)
        entries = await self.analyst.buckets(DEVICES, span, question, keys)
        return {
            (entry.group, entry.row["sensor_type"], entry.row["bucket"]): tuple(entry.row[name] for name in names)
            for entry in entries
        }

    def expected(self, span: Span, width: int, keys: tuple[str, ...]) -> Any:
        cells: dict[Any, list[tuple[int, float]]] = {}
        for device_id, key, at, value in self.sent:
            if span.since <= at < span.until and (not keys or key in keys):
                start = rfc3339_from_ms(at - at % width)
                cells.setdefault((device_id, key, start), []).append((at, value))
        return {place: _aggregates(sorted(readings)) for place, readings in cells.items()}

    async def lists_every_reading_once(self, span: Span) -> None:
        for device_id in DEVICES:
            folded = await self.history.folded_before([device_id], span.since)
            found = await self.analyst.newest(device_id, span, 10_000, (), folded_before=folded)
            assert [one.timestamp for one in found] == sorted((one.timestamp for one in found), reverse=True)
            single = {(device_id, one.sensor_type, one.timestamp, one.value) for one in found if not one.averaged_ms}
            wanted = {one for one in self.sent if one[0] == device_id and span.since <= one[2] < span.until}
            assert single <= wanted
            assert len(single) == sum(1 for one in found if not one.averaged_ms)
            if self.settings.archive:
                assert single == wanted
            self._averages(found, wanted - single)
            await self._pages(device_id, span, folded, found)

    def _averages(self, found: list[Reading], left: set[Sent]) -> None:
        """What is not listed by itself is in an average, and in one only."""
        for one in found:
            if one.averaged_ms:
                assert one.averaged_ms == HOUR_MS
                inside = {
                    reading for reading in left
                    if reading[1] == one.sensor_type and 0 <= reading[2] - one.timestamp < HOUR_MS
                }  # fmt: skip
                assert inside
                assert one.value == sum(reading[3] for reading in inside) / len(inside)
                left -= inside
        assert not left

    async def _pages(self, device_id: int, span: Span, folded: int | None, whole: list[Reading]) -> None:
        """A list that ends where a page may end goes on from there."""
        if len(whole) > 5:
            until = whole[5].timestamp
            rest = await self.analyst.newest(device_id, Span(span.since, until), 3, (), folded_before=folded)
            assert rest == [one for one in whole if one.timestamp < until][:3]


def _aggregates(readings: list[tuple[int, float]]) -> tuple[float, ...]:
    values = [value for _, value in readings]
    total = sum(values)
    return (total / len(values), min(values), max(values), total, len(values), values[0], values[-1])


@pytest.fixture(params=[False, True], ids=["buckets", "archive"])
async def world(  # noqa: PLR0917 - fixtures
    request: pytest.FixtureRequest, database_kind: DatabaseKind, database_url: str, tmp_path: Path,
    clock: HandClock, monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:  # fmt: skip
    for module in (sqlite_log, appending):
        monkeypatch.setattr(module, "SLICE_ROWS", 30)
    monkeypatch.setattr(planning, "BLOCK_ROWS", 16)
    monkeypatch.setattr(carrying, "TOLD_S", 0)
    monkeypatch.setattr(horizons, "KNOWN_S", -1)
    monkeypatch.setattr(history, "COARSE_ROWS", 2)
    monkeypatch.setattr(history, "WINDOW_ROWS", 20)
    settings = Settings(
        _env_file=None, data_dir=tmp_path, database_url=database_url, archive=request.param, archive_after_days=1
    )
    database = Database(settings)
    now = clock.now()
    async with database.write() as session:
        session.add(Organization(id=OURS, name="Org", created_at=now, updated_at=now))
        await session.flush()
        for number in DEVICES:
            device = Device(id=number, device_uid=f"dev-{number}", name="A", organization_id=OURS)
            device.created_at = device.updated_at = now
            session.add(device)
        for number, (pattern, days, bucket_s) in enumerate(((None, KEEP_DAYS, 3600), ("debug.*", DEBUG_DAYS, None))):
            policy = RetentionPolicy(
                organization_id=OURS, key_pattern=pattern, keep_days=days, coarse_bucket_s=bucket_s, place=str(number)
            )  # fmt: skip
            policy.created_at = policy.updated_at = now
            session.add(policy)
    log: Log = (
        SqliteLog(tmp_path / "telemetry", clock) if database_kind == "sqlite" else PostgresLog(database_url, clock)
    )
    await log.open()
    world = World(settings, database, log, clock)
    yield world
    await log.close()
    await database.dispose()


class Killed(Exception):  # noqa: N818 - it reads as what it says
    """What a run of retention dies of."""


async def stopped(world: World, chance: random.Random) -> bool:
    """A run of retention that is killed after some of its work, if it has that much; whether it was."""
    left = chance.randrange(6)
    with pytest.MonkeyPatch.context() as patched:
        for module in (on_files, on_tables):
            trim = module._trim_block

            def counted(*arguments: Any, trim: Any = trim) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return trim(*arguments)

            patched.setattr(module, "_trim_block", counted)
        try:
            await world.keep()
        except Killed:
            return True
    return False


async def test_as_from_a_list(world: World) -> None:
    chance = random.Random(11)
    for step in range(11):
        await world.send(chance, 8, 24)
        world.clock.ms += chance.randrange(4, 14) * DAY_MS
        if chance.random() < 0.7:
            await world.send(chance, 150)
        if chance.random() < 0.8:
            await world.seal()
        if world.settings.archive:
            # Nothing goes before it is in the archive, whichever of the two comes first.
            if chance.random() < 0.7:
                await world.archive.write_due()
            world.clock.ms += 61_000
        was_stopped = chance.random() < 0.3 and await stopped(world, chance)
        if was_stopped or chance.random() < 0.7:
            await world.keep()
        if step % 4 == 3:
            await world.answers_as_from_a_list(chance)
    await world.seal()
    if world.settings.archive:
        await world.archive.write_due()
        world.clock.ms += 61_000
        await world.archive.write_due()
    await world.keep()
    await world.answers_as_from_a_list(chance)
    messages, _ = await world.log.size()
    assert messages < len(world.taken), "Nothing was ever deleted."


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("world", [False], indirect=True)
async def test_what_buckets_cannot_tell_is_refused(world: World) -> None:
    await folded(world)
    day = Span(world.clock.ms - 61 * DAY_MS, world.clock.ms)
    with pytest.raises(Invalid) as refused:
        await world.buckets(day, DAY_MS, ("p95",))
    assert refused.value.code == "downsampled"
    # What is narrower than they are stands where they begin, and nothing is left out.
    narrow = await world.buckets(day, HOUR_MS // 4, ("count",), ("temp_c",))
    counted = await world.buckets(day, DAY_MS, ("count",), ("temp_c",))
    assert sum(row[0] for row in narrow.values()) == sum(row[0] for row in counted.values()) == 2 * 96
    points = await world.analyst.thinned(1, day, 5_000, ["temp_c"])
    assert [point.timestamp for point in points] == sorted(point.timestamp for point in points)
    assert (min(point.value for point in points), max(point.value for point in points)) == (0, 95)


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("world", [False], indirect=True)
async def test_buckets_go_when_their_time_is_over(world: World) -> None:
    await folded(world)
    everything = Span(0, 2**62)
    counts = await world.buckets(everything, DAY_MS, ("count",), ("temp_c",))
    assert sum(row[0] for row in counts.values()) == 2 * 96
    async with world.database.write() as session:
        await session.execute(update(RetentionPolicy).values(coarse_days=14))
    await world.keep()
    edge = world.clock.ms - (KEEP_DAYS + 14) * DAY_MS
    left = await world.analyst.newest(1, everything, 500, ("temp_c",), folded_before=world.clock.ms)
    assert left[-1].timestamp == edge // HOUR_MS * HOUR_MS
    await world.log.prune(left[0].timestamp)
    assert [one.timestamp for one in await newest(world, 1)] == [left[0].timestamp]
    await world.log.delete_device(1)
    assert await newest(world, 1) == []
    assert await newest(world, 2) != []


async def folded(world: World) -> None:
    """Two days of a reading every half hour, sixty days ago and in buckets."""
    start = (world.clock.ms - 60 * DAY_MS) // HOUR_MS * HOUR_MS
    for device_id in DEVICES:
        messages = [
            Message(
                start + n * HOUR_MS // 2, world.clock.ms, None, {"temp_c": n}, b'{"temp_c":%d}' % n, {"temp_c": "°C"}
            )
            for n in range(96)
        ]
        await world.log.append([device_id] * len(messages), messages)
    await world.log.append([1], [Message(world.clock.ms, world.clock.ms, None, {"hum": 1}, b'{"hum":1}')])
    await world.seal()
    await world.keep()
    assert await world.log.between(1, 0, start + 2 * DAY_MS, 500) == []


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("world", [False], indirect=True)
async def test_damaged_buckets_are_found_and_said(world: World) -> None:
    await folded(world)
    assert await damaged(world, hurt=False) == []
    (sentence,) = await damaged(world, hurt=True)
    assert sentence.startswith("Buckets of 3600 s of device 1, ")
    with pytest.raises(LogUnavailable, match="device 1"):
        await world.buckets(Span(), DAY_MS, ("avg",))
    # What would go into them stays where it is; that of others goes.
    world.clock.ms += 50 * DAY_MS
    await world.send(random.Random(1), 1, 40)
    world.clock.ms += 46 * DAY_MS
    await world.seal()
    old = world.clock.ms - 60 * DAY_MS
    with pytest.raises(LogUnavailable, match="device 1"):
        await world.keep()
    assert await world.log.between(2, 0, old, 100) == []


async def damaged(world: World, *, hurt: bool) -> list[str]:
    """What `roost telemetry verify` says of the store, of which a byte of device 1's buckets may have flipped."""
    if isinstance(world.log, SqliteLog):
        blocks = file.connect(world.settings.data_dir / "telemetry")
        assert blocks is not None
        with closing(blocks):
            if hurt:
                blocks.execute("UPDATE coarse SET data = CAST(substr(data, 1, 40) AS BLOB) WHERE device_id = 1")
        return list(damages(world.settings.data_dir / "telemetry"))
    if hurt:
        connections = Connections(world.settings.database_url, world.clock)
        async with connections.changing() as connection:
            await connection.execute("UPDATE telemetry.coarse SET data = substr(data, 1, 40) WHERE device_id = 1")
        await connections.close()
    told: list[str] = []
    await tell_damages(world.settings.database_url, told.append)
    return told


async def newest(world: World, device_id: int) -> list[Reading]:
    return await world.analyst.newest(device_id, Span(), 500, ("temp_c",), folded_before=world.clock.ms)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("world", [True], indirect=True)
async def test_an_archive_that_cannot_be_read_is_said(world: World) -> None:
    chance = random.Random(3)
    await world.send(chance, 1)
    before = set(world.sent)
    world.clock.ms += 100 * DAY_MS
    await world.send(chance, 1)
    await world.seal()
    await world.archive.write_due()
    await world.keep()
    (file,) = (world.settings.data_dir / "blobs").rglob("readings.parquet")
    data = file.read_bytes()
    for hurt in (lambda: file.write_bytes(data[:100]), file.unlink):
        hurt()
        with pytest.raises(ArchiveUnavailable):
            await world.buckets(Span(), DAY_MS, ("avg",))
    # What the log has needs no archive.
    recent = Span(world.clock.ms - 30 * DAY_MS)
    assert await world.buckets(recent, DAY_MS, SUMMARISED) == world.expected(recent, DAY_MS, ())
    file.write_bytes(data)
    world.sent |= before
    assert await world.buckets(Span(), DAY_MS, SUMMARISED) == world.expected(Span(), DAY_MS, ())


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("world", [True], indirect=True)
async def test_nothing_goes_before_it_is_in_the_archive(world: World) -> None:
    chance = random.Random(4)
    await world.send(chance, 1)
    world.clock.ms += 100 * DAY_MS
    await world.keep()
    assert (await world.log.size())[0] == len(world.taken)
    await world.send(chance, 1)
    await world.archive.write_due()
    late = len(world.taken)
    await world.send(chance, 110)  # some of it while nobody has looked for what is late
    assert len(world.taken) > late
    await world.seal()
    await world.keep()
    await world.archive.write_due()
    await world.keep()
    assert await world.buckets(Span(), DAY_MS, SUMMARISED) == world.expected(Span(), DAY_MS, ())


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("world", [False], indirect=True)
@pytest.mark.parametrize("first", [False, True])
async def test_what_goes_while_it_is_read_is_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    """Retention runs between the looks at the buckets and at the log, of a device that it has run for before."""
    await folded(world)
    await world.send(random.Random(5), 3)
    world.clock.ms += 50 * DAY_MS
    await world.send(random.Random(6), 100, 40)
    await world.seal()
    hot = history._Older._hot
    runs = 0

    async def meanwhile(self: history._Older, since: int, until: int) -> Any:
        nonlocal runs
        runs += 1
        if first and runs == 1:
            await world.keep()
        found = await hot(self, since, until)
        if not first and runs == 1:
            await world.keep()
        return found

    half_hours = {
        (device_id, "temp_c", (world.clock.ms - 110 * DAY_MS) // HOUR_MS * HOUR_MS + n * HOUR_MS // 2, float(n))
        for device_id in DEVICES
        for n in range(96)
    }
    monkeypatch.setattr(history._Older, "_hot", meanwhile)
    found = await world.buckets(Span(), DAY_MS, SUMMARISED, ("temp_c",))
    world.sent |= half_hours
    assert found == world.expected(Span(), DAY_MS, ("temp_c",))
    assert runs > 2, "Nothing was read again."


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("world", [True], indirect=True)
async def test_who_reads_slowly_sees_the_horizon_pass_by(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes behind the piece that is being taken is read from the archive."""
    monkeypatch.setattr("roost.telemetry.blocks.reads.FRAME_ROWS", 16)
    for day in range(12):
        world.clock.ms += 5 * DAY_MS
        await world.send(random.Random(day), 5, 20)
    await world.seal()
    await world.archive.write_due()
    times: list[int] = []
    async for piece in world.history.pieces(1, 0, 2**62):
        assert isinstance(piece, Frame)
        if not times:
            await world.keep()
            world.clock.ms += 60 * DAY_MS
            await world.archive.write_due()
            await world.keep()
        times += piece.times.tolist()
    assert sorted(set(times)) == sorted({at for device_id, _, at, _ in world.sent if device_id == 1})
    assert times == sorted(times)
