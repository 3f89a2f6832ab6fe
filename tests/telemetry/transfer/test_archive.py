"""The archive: months as Parquet files that others read, written once, never with less than is there."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from roost.access.models import Organization
from roost.core.blobs import Blobs, BlobsUnavailable, FileBlobs, blobs_for
from roost.core.database import Database
from roost.core.settings import Settings
from roost.devices.models import Device
from roost.telemetry.blocks.sealing import seal_folder
from roost.telemetry.columns import frame_of
from roost.telemetry.frames import Frame
from roost.telemetry.messages import Message, Value
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.sqlite_log import SqliteLog
from roost.telemetry.transfer.archive import Archive, Done
from roost.telemetry.transfer.archive_reads import ArchivedReadings, damage_of
from roost.telemetry.transfer.forgetting import forget_device
from roost.telemetry.transfer.manifests import all_manifests, archived_months, read_manifest
from roost.telemetry.transfer.months import Month, months_between
from roost.telemetry.transfer.points import points_of
from roost.telemetry.transfer.turns import AnotherWrites, archive_turn, archived_through
from tests.migrated_databases import MigratedDatabases
from tests.s3_server import running_s3_server
from tests.telemetry.conftest import HandClock
from tests.waiting import until

DAY = 24 * 3600 * 1000
JANUARY, FEBRUARY, MARCH = Month(2026, 1), Month(2026, 2), Month(2026, 3)
OURS, THEIRS = 1, 2


class World:
    """Two organizations, with the devices 1 and 2, and 3; it is the tenth of March."""

    def __init__(self, settings: Settings, database: Database, log: SqliteLog, clock: HandClock) -> None:
        folder = settings.data_dir
        self.folder = folder / "blobs" / "archive"
        self.settings = settings
        self.database, self.log, self.clock = database, log, clock
        self.store = TelemetryStore(log, clock)
        self.keep_in(FileBlobs(folder / "blobs"))

    def keep_in(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.archive = Archive(self.log, self.store, self.database, blobs, self.clock, settings=self.settings)

    async def send(self, device_id: int, at: int, *, event: str | None = None, **readings: Value) -> None:
        payload = json.dumps(readings).encode()
        message = Message(at, self.clock.now_ms(), event, readings, payload, {"temp_c": "°C"})
        await self.log.append([device_id], [message])

    def query(self, sql: str) -> list[tuple[object, ...]]:
        files = f"read_parquet('{self.folder}/{{}}/**/*.parquet', hive_partitioning = true)"
        with duckdb.connect() as connection:
            found: list[tuple[object, ...]] = connection.execute(
                sql.replace("READINGS", files.format("readings")).replace("EVENTS", files.format("events"))
            ).fetchall()
        return found


@pytest.fixture
async def world(tmp_path: Path, clock: HandClock, migrated: MigratedDatabases) -> AsyncIterator[World]:
    migrated.sqlite(tmp_path / "roost.db")
    clock.ms = int(datetime(2026, 3, 10, tzinfo=UTC).timestamp() * 1000)
    now = clock.now()
    settings = Settings(_env_file=None, data_dir=tmp_path, archive_after_days=3)
    database = Database(settings)
    async with database.write() as session:
        for number in (OURS, THEIRS):
            session.add(Organization(id=number, name=f"Org {number}", created_at=now, updated_at=now))
        await session.flush()
        for number, owner in ((1, OURS), (2, OURS), (3, THEIRS)):
            device = Device(id=number, device_uid=f"dev-{number}", name="A", organization_id=owner)
            device.created_at = device.updated_at = now
            session.add(device)
    log = SqliteLog(tmp_path / "telemetry", clock)
    await log.open()
    yield World(settings, database, log, clock)
    await log.close()
    await database.dispose()


async def fill(world: World) -> None:
    await world.send(1, JANUARY.start_ms, temp_c=20.5, on=True)
    await world.send(2, JANUARY.end_ms - 1, temp_c=21)
    await world.send(1, FEBRUARY.start_ms, temp_c=-0.0)
    await world.send(1, FEBRUARY.start_ms + DAY, event="boot", n=2**60)
    await world.send(1, MARCH.start_ms, temp_c=99.0)
    await world.send(3, FEBRUARY.start_ms, temp_c=5.0)


async def test_others_read_what_was_written(world: World) -> None:
    await fill(world)
    assert await world.archive.write_due() == Done(written=3)
    found = world.query(
        "SELECT organization_id, month, device_uid, sensor_type, epoch_ms(time), value, integer, boolean, unit"
        " FROM READINGS ORDER BY organization_id, month, device_id, time, sensor_type"
    )
    assert found == [
        (OURS, "2026-01", "dev-1", "on", JANUARY.start_ms, 1.0, None, True, None),
        (OURS, "2026-01", "dev-1", "temp_c", JANUARY.start_ms, 20.5, None, None, "°C"),
        (OURS, "2026-01", "dev-2", "temp_c", JANUARY.end_ms - 1, 21.0, 21, None, "°C"),
        (OURS, "2026-02", "dev-1", "temp_c", FEBRUARY.start_ms, 0.0, None, None, "°C"),
        (OURS, "2026-02", "dev-1", "n", FEBRUARY.start_ms + DAY, float(2**60), 2**60, None, None),
        (THEIRS, "2026-02", "dev-3", "temp_c", FEBRUARY.start_ms, 5.0, None, None, "°C"),
    ]
    assert world.query("SELECT event_type, payload FROM EVENTS") == [("boot", f'{{"n": {2**60}}}')]


async def test_in_a_bucket(world: World, tmp_path: Path) -> None:
    await fill(world)
    (tmp_path / "s3").mkdir()
    with running_s3_server(tmp_path / "s3") as server:
        world.folder = server.folder / "archive"
        world.keep_in(blobs_for(Settings(_env_file=None, **server.settings)))
        assert await world.archive.write_due() == Done(written=3)
        assert await world.archive.write_due(again=True) == Done(same=3)
        frames = await archived(world, 1, 0, MARCH.start_ms)
        assert [len(frame.times) for frame in frames] == [1, 2]
        assert await damages(world) == []
    assert world.query("SELECT count(*) FROM READINGS") == [(6,)]
    with pytest.raises(BlobsUnavailable):
        await world.archive.write_due(again=True)


async def test_a_month_is_written_once_and_not_before_its_time(world: World) -> None:
    await fill(world)
    world.clock.ms = MARCH.start_ms + 3 * DAY - 1
    assert await world.archive.write_due() == Done(written=2)
    assert await archived_months(world.blobs, OURS) == [JANUARY]
    world.clock.ms = MARCH.start_ms + 3 * DAY
    assert await world.archive.write_due() == Done(written=2)
    assert await archived_months(world.blobs, OURS) == [JANUARY, FEBRUARY]
    files = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*") if path.is_file()}
    assert await world.archive.write_due() == Done()
    assert await world.archive.write_due(again=True) == Done(same=3)
    assert {path: path.stat().st_mtime_ns for path in world.folder.rglob("*") if path.is_file()} == files


async def test_late_data_comes_in_by_itself(world: World) -> None:
    await fill(world)
    assert await world.archive.write_due() == Done(written=3)
    await world.send(2, JANUARY.start_ms + DAY, temp_c=1.5)
    await world.send(1, FEBRUARY.start_ms, event="boot", n=1)
    await world.send(1, MARCH.start_ms, temp_c=1.5)  # whose month is to come
    assert await world.archive.write_due() == Done(written=2)
    assert world.query("SELECT count(*) FROM READINGS WHERE device_id = 2") == [(2,)]
    assert world.query("SELECT payload FROM EVENTS ORDER BY id") == [(f'{{"n": {2**60}}}',), ('{"n": 1}',)]
    await world.send(2, Month(2020, 5).start_ms, temp_c=1.5)
    assert await world.archive.write_due() == Done(written=1)
    assert (await archived_months(world.blobs, OURS))[0] == Month(2020, 5)
    assert await world.archive.write_due() == Done()
    await world.send(2, Month(2019, 5).start_ms, temp_c=1.5)
    assert (await world.archive.write_due(first=FEBRUARY, again=True)).written == 1


async def test_late_data_is_found_in_blocks_too(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.telemetry.sqlite_log.SLICE_ROWS", 4)
    await fill(world)
    await world.archive.write_due()
    await world.send(2, FEBRUARY.start_ms + DAY, temp_c=3.5)
    await world.send(1, JANUARY.start_ms + DAY, event="boot", n=1)
    for day in range(8):
        await world.send(1, MARCH.start_ms + day * DAY, temp_c=0.5)
    await asyncio.to_thread(world.log._closer._thread.submit(lambda: None).result)
    assert (await asyncio.to_thread(seal_folder, tmp_path / "telemetry", world.clock.now_ms())).slices
    await world.log.let_go()
    # Blocks of device 1 begin in January, those of device 2 reach from there to February.
    assert await world.archive.write_due() == Done(written=2)
    assert world.query("SELECT count(*) FROM READINGS") == [(6 + 2,)]
    assert world.query("SELECT month FROM EVENTS ORDER BY month") == [("2026-01",), ("2026-02",)]


async def test_one_process_writes_at_a_time(world: World) -> None:
    await fill(world)
    async with archive_turn(world.database, world.clock) as turn:
        with pytest.raises(AnotherWrites):
            await world.archive.write_due()
        # One that stood still for too long finds that another one has gone on.
        world.clock.ms += 11 * 60_000
        assert await world.archive.write_due() == Done(written=3)
        with pytest.raises(AnotherWrites):
            await turn.keep()
    assert await archived_through(world.database) == (6, MARCH.start_ms)


async def test_what_the_log_no_longer_has_stays_in_the_archive(world: World) -> None:
    await fill(world)
    await world.archive.write_due()
    await world.store.delete_device(1)
    await world.send(2, JANUARY.start_ms, temp_c=1.5)
    await world.send(2, FEBRUARY.start_ms, event="boot", n=1)
    assert await world.archive.write_due(again=True) == Done(written=2, same=1)
    assert world.query("SELECT count(*) FROM READINGS GROUP BY device_id = 1 ORDER BY 1") == [(4,), (4,)]
    assert world.query("SELECT device_id FROM EVENTS ORDER BY device_id") == [(1,), (2,)]


async def test_a_device_that_must_be_forgotten(world: World, tmp_path: Path) -> None:
    await fill(world)
    await world.archive.write_due()
    await world.store.delete_device(1)
    assert await forget_device(world.blobs, 1, tmp_path / "scratch") == 5
    assert world.query("SELECT DISTINCT device_id, month FROM READINGS ORDER BY 1") == [(2, "2026-01"), (3, "2026-02")]
    assert not list(world.folder.rglob("events.parquet"))
    assert await damages(world) == []
    assert await forget_device(world.blobs, 1, tmp_path / "scratch") == 0
    assert await world.archive.write_due(again=True) == Done(same=3)


async def test_forgetting_cut_short_is_finished_the_next_time(world: World, tmp_path: Path) -> None:
    """The file has changed, its manifest has not yet."""
    await fill(world)
    await world.archive.write_due()
    manifest = world.folder / "manifests" / "organization_id=1" / "2026-01.json"
    before = manifest.read_bytes()
    await forget_device(world.blobs, 1, tmp_path / "scratch")
    manifest.write_bytes(before)
    assert len(await damages(world)) == 1
    await forget_device(world.blobs, 1, tmp_path / "scratch")
    assert await damages(world) == []


async def test_a_month_cut_short_is_written_again(world: World) -> None:
    """The file is there, its manifest is not yet when the hub starts again: nobody has promised it."""
    await fill(world)
    await world.archive.write_due()
    world.keep_in(world.blobs)
    (world.folder / "manifests" / "organization_id=1" / "2026-02.json").unlink()
    next((world.folder / "readings" / "organization_id=1" / "month=2026-02").iterdir()).write_bytes(b"half a file")
    assert await world.archive.write_due() == Done(written=1)
    assert await damages(world) == []


async def archived(world: World, device_id: int, since: int, end: int, keys: Sequence[str] = ()) -> list[Frame]:
    async with aclosing(ArchivedReadings(world.blobs, OURS, device_id)) as readings:
        return await readings.frames(since, end, keys)


async def damages(world: World) -> list[str]:
    return [said for manifest in await all_manifests(world.blobs) for said in await damage_of(world.blobs, manifest)]


async def test_a_flipped_byte_and_a_missing_file_are_found(world: World) -> None:
    await fill(world)
    await world.archive.write_due()
    assert await damages(world) == []
    files = sorted(world.folder.rglob("readings.parquet"))
    data = bytearray(files[0].read_bytes())
    data[len(data) // 2] ^= 1
    files[0].write_bytes(data)
    files[1].unlink()
    first, second = await damages(world)
    assert first.startswith("archive/readings/organization_id=1/month=2026-01")
    assert "checksum" in first
    assert second.endswith("is missing.")


async def test_the_manifest_says_how_much_of_whom(world: World) -> None:
    await fill(world)
    await world.archive.write_due()
    manifest = await read_manifest(world.blobs, OURS, JANUARY)
    assert manifest is not None
    assert manifest.readings is not None
    assert (manifest.readings.rows, manifest.readings.devices) == (3, {"1": 2, "2": 1})
    assert manifest.events is None


Said = list[tuple[str, int, str, str | None]]


def said(frames: Sequence[Frame]) -> Said:
    """Series, time, value and unit; by time and series, values of a moment by arrival. `repr` tells 1, 1.0 and True."""
    found: Said = []
    for frame in frames:
        for points in points_of(frame):
            for n in range(len(points)):
                kind, number = points.kinds[n], float(points.values[n])
                value: Value = (number, int(points.integers[n]), bool(number))[kind]
                unit = points.units[points.unit_codes[n]]
                found.append((points.keys[points.key_codes[n]], int(points.times[n]), repr(value), unit))
    return sorted(found, key=lambda reading: (reading[1], reading[0]))


async def test_the_archive_reads_as_the_log_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.telemetry.transfer.archive_reads.FRAME_ROWS", 4)
    await fill(world)
    for n in range(20):
        await world.send(1, JANUARY.start_ms + n // 3 * 60_000, temp_c=n, other=n / 2)
    await world.archive.write_due()

    async def both(since: int, end: int, keys: Sequence[str] = ()) -> tuple[Said, Said]:
        rows = await world.log.between(1, since, end, 1_000)
        frames = await archived(world, 1, since, end, keys)
        times = [time for frame in frames for time in {int(time) for time in frame.times}]
        assert len(times) == len(set(times)), "A moment stands in two frames."
        return said(frames), said([frame_of(1, rows, keys)])

    spans = [(0, MARCH.start_ms), (JANUARY.start_ms + 1, FEBRUARY.start_ms), (JANUARY.start_ms, FEBRUARY.start_ms + 1)]
    for since, end in spans:
        for keys in ((), ("temp_c",)):
            from_files, logged = await both(since, end, keys)
            assert from_files == logged
            assert from_files
    assert await archived(world, 3, 0, MARCH.end_ms) == []


async def test_what_is_due_is_written_by_itself(world: World) -> None:
    await fill(world)
    world.archive.start()

    async def written() -> bool:
        return len(await all_manifests(world.blobs)) == 3

    await until(written, 20)
    await world.archive.stop()


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-1", "0000-01", "january"])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="no month"):
        Month.parse(text)


def test_months_follow_each_other() -> None:
    assert [str(month) for month in months_between(Month(2025, 11), Month(2026, 2))] == [
        "2025-11", "2025-12", "2026-01", "2026-02",
    ]  # fmt: skip
    assert Month(2026, 1).before() == Month(2025, 12)
    assert Month.of(Month(2024, 2).end_ms - 1) == Month(2024, 2)
