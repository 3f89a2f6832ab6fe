"""Slices become blocks, whoever is stopped, reads or deletes meanwhile."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import chain, pairwise
from pathlib import Path

import apsw
import pytest

from roost.telemetry import sealer, slice_reads, slices, sqlite_log
from roost.telemetry.blocks import file, planning, sealing
from roost.telemetry.blocks.inspection import damages, sizes
from roost.telemetry.blocks.reads import read_block
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import ANY, LogUnavailable, MessageFilter, Row
from roost.telemetry.messages import Message
from roost.telemetry.prune import prune_folder
from roost.telemetry.sealer import Sealer
from roost.telemetry.sqlite_log import SqliteLog
from tests.telemetry.conftest import NOW, HandClock
from tests.waiting import until

SLICE_ROWS = 40
DEVICES = (1, 2, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "telemetry"


class Restarts:
    """The log of tiny slices: calling opens it, again if it is open already."""

    def __init__(self, folder: Path, clock: HandClock) -> None:
        self._folder, self._clock = folder, clock
        self._log: SqliteLog | None = None

    async def __call__(self) -> SqliteLog:
        await self.close()
        self._log = SqliteLog(self._folder, self._clock)
        await self._log.open()
        return self._log

    async def close(self) -> None:
        if self._log is not None:
            await self._log.close()
            self._log = None


@pytest.fixture
async def opened(folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Restarts]:
    monkeypatch.setattr(sqlite_log, "SLICE_ROWS", SLICE_ROWS)
    monkeypatch.setattr(sealing, "UNIT_ROWS", 10)
    monkeypatch.setattr(planning, "BLOCK_ROWS", 16)
    restarts = Restarts(folder, clock)
    yield restarts
    await restarts.close()


async def fill(log: SqliteLog, count: int, first: int = 0) -> None:
    """Messages of three devices, some of them events, with ids; the slices that are full get their indexes."""
    for number in range(first, first + count):
        event = "alarm" if number % 7 == 0 else None
        message = Message(NOW + number, NOW, event, {"v": number}, b'{"v":%d}' % number, None, f"id-{number}")
        await log.append([DEVICES[number % 3]], [message])
    closed = log._closer._thread.submit(lambda: None)
    await asyncio.to_thread(closed.result)


async def everything(log: SqliteLog) -> list[tuple[int, object, str | None]]:
    rows = await log.recent(DEVICES, 10_000, ANY)
    return [(row.id, row.document()["v"], row.event_type) for row in rows]


def expected(count: int) -> list[tuple[int, object, str | None]]:
    return [(number + 1, number, "alarm" if number % 7 == 0 else None) for number in reversed(range(count))]


def heads(folder: Path) -> int:
    return len(list(folder.glob("head_*.db")))


async def test_a_sealed_slice_is_gone_and_everything_is_still_there(
    opened: Restarts, folder: Path, clock: HandClock
) -> None:
    log = await opened()
    await fill(log, 100)
    assert heads(folder) == 3
    lines: list[str] = []
    done = await asyncio.to_thread(sealing.seal_folder, folder, clock.ms, lines.append)
    assert (done.slices, done.messages, done.failed) == (2, 80, 0)
    assert lines == ["head_00000001.db: 40 messages sealed.", "head_00000002.db: 40 messages sealed."]
    assert heads(folder) == 1
    assert await everything(log) == expected(100)
    assert (await log.size())[0] == 100
    assert [row.id for row in await log.recent([1], 3, MessageFilter(events_only=True, before_id=60))] == [43, 22, 1]
    event = await log.find(43)
    assert event is not None
    assert (event.message_id, event.received_at, event.document()) == ("id-42", NOW, {"v": 42})
    again = await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    assert (again.slices, again.messages) == (0, 0)


async def test_an_id_stays_known_for_a_day_after_its_slice_is_sealed(
    opened: Restarts, folder: Path, clock: HandClock
) -> None:
    log = await opened()
    await fill(log, 50)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    await log.let_go()
    assert id_files(folder) == ["ids_00000001.db"]
    assert await send_again(log, NOW) == 0
    log = await opened()
    assert await send_again(log, NOW) == 0
    clock.ms += 25 * 3600 * 1000
    assert await send_again(log, clock.ms) > 0
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    assert "ids_00000001.db" not in id_files(folder)


def id_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("ids_*")]


async def send_again(log: SqliteLog, at: int) -> int:
    """The id that a message gets whose message id was in the first slice; 0: it is known."""
    message = Message(at, at, None, {"v": 3}, b'{"v":3}', None, "id-3")
    await log.append([DEVICES[0]], [message])
    return message.id


async def test_killed_at_any_step_nothing_is_lost_or_there_twice(
    opened: Restarts, folder: Path, clock: HandClock
) -> None:
    log = await opened()
    await fill(log, 100)
    step = 0
    while heads(folder) > 1:
        await opened.close()
        kill_at_step(step, folder, clock.ms)
        log = await opened()
        assert await everything(log) == expected(100)
        step += 1
    assert step > 10
    assert list(damages(folder)) == []
    assert sum(size.messages for size in sizes(folder)) == 100


def kill_at_step(step: int, folder: Path, now_ms: int) -> None:
    """Seals in a process that dies at its disk access number `step`: before a commit, after one, beside a removal."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    steps = iter(range(step))

    def die_if_due() -> None:
        if next(steps, None) is None:
            os._exit(9)

    def before_commit() -> bool:
        die_if_due()
        return False

    def after_commit(*_: object) -> int:
        die_if_due()
        return 0

    class Dying(apsw.Connection):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            self.set_commit_hook(before_commit)
            self.set_wal_hook(after_commit)

    remove = slices.remove
    apsw.Connection = Dying  # type: ignore[misc]

    def removed(path: Path) -> None:
        die_if_due()
        remove(path)
        die_if_due()

    slices.remove = removed
    try:
        sealing.seal_folder(folder, now_ms)
    finally:
        os._exit(0)


async def test_marks_outlive_the_slice_until_its_name_is_off_the_disk(
    opened: Restarts, folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut could bring the slice back without them."""
    log = await opened()
    await fill(log, 50)
    moments: list[tuple[int, int]] = []
    sync = slices.sync_folder

    def synced(path: Path) -> None:
        sync(path)
        with closing(apsw.Connection(str(folder / file.FILE))) as blocks:
            moments.append((heads(folder), len(blocks.execute("SELECT * FROM sealed").fetchall())))

    with closing(file.create(folder)):
        monkeypatch.setattr(slices, "sync_folder", synced)
        await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    assert (1, len(DEVICES)) in moments


async def test_readers_see_every_message_once_while_slices_turn_into_blocks(
    opened: Restarts, folder: Path, clock: HandClock
) -> None:
    log = await opened()
    await fill(log, 200)
    sealed = asyncio.create_task(asyncio.to_thread(sealing.seal_folder, folder, clock.ms))
    looks = 0
    while not sealed.done() or looks < 3:
        assert await everything(log) == expected(200)
        frames = [piece async for piece in log.pieces(1, 0, 2**62) if isinstance(piece, Frame)]
        assert [value for frame in frames for value in frame.columns["v"].values.tolist()] == list(range(0, 200, 3))
        looks += 1
    await sealed


@pytest.mark.parametrize("sealed_before", [0, 50])
async def test_a_slice_that_goes_while_it_is_looked_for_is_read_as_blocks(
    opened: Restarts, folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch, sealed_before: int
) -> None:
    log = await opened()
    await fill(log, sealed_before)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    await fill(log, 100 - sealed_before, sealed_before)
    seals = iter([True])

    @contextmanager
    def sealed_inside(*arguments: apsw.Connection) -> Iterator[None]:
        """The moment at which blocks are looked at, and everything closed is sealed right after it."""
        with snapshot(*arguments) if arguments else nullcontext():
            if next(seals, False):
                sealing.seal_folder(folder, clock.ms)
            yield

    snapshot = file.snapshot
    monkeypatch.setattr(file, "snapshot", sealed_inside)
    monkeypatch.setattr(slice_reads, "nullcontext", sealed_inside)
    assert await everything(log) == expected(100)
    assert heads(folder) == 1


async def test_late_rows_join_the_block_of_their_time(opened: Restarts, folder: Path, clock: HandClock) -> None:
    log = await opened()
    await fill(log, 50)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    for number in range(SLICE_ROWS):
        late = Message(NOW - 500 + number * 20, NOW, None, {"late": number}, b'{"late":%d}' % number)
        await log.append([1], [late])
    await fill(log, 0)
    before = [piece.times.tolist() async for piece in log.pieces(1, 0, 2**62) if isinstance(piece, Frame)]
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    after = [piece.times.tolist() async for piece in log.pieces(1, 0, 2**62) if isinstance(piece, Frame)]
    assert list(chain.from_iterable(after)) == list(chain.from_iterable(before))
    assert all(earlier[-1] < later[0] for earlier, later in pairwise(after))
    assert list(damages(folder)) == []


async def test_summaries_come_where_nobody_needs_the_rows(opened: Restarts, folder: Path, clock: HandClock) -> None:
    log = await opened()
    await fill(log, 200)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    asked: list[tuple[int, int]] = []

    def whole(start: int, end: int) -> bool:
        asked.append((start, end))
        return end < NOW + 100

    pieces = [piece async for piece in log.pieces(1, NOW + 5, 2**62, whole=whole)]
    summaries = [piece for piece in pieces if isinstance(piece, Summary)]
    assert summaries
    assert all(piece.start > NOW + 5 and piece.end < NOW + 100 for piece in summaries)
    frames = [piece for piece in pieces if isinstance(piece, Frame)]
    count = sum(piece.columns["v"].count for piece in summaries) + sum(len(frame.times) for frame in frames)
    assert count == len(range(0, 200, 3)) - 2
    assert set(asked) >= {(piece.start, piece.end) for piece in summaries}


async def test_pruned_blocks_give_their_space_back(opened: Restarts, folder: Path, clock: HandClock) -> None:
    log = await opened()
    await fill(log, 330)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    with closing(file.create(folder)) as blocks:
        pages = int(blocks.pragma("page_count"))
        assert await log.prune(NOW + 301) == 301
        assert await everything(log) == expected(330)[:29]
        assert int(blocks.pragma("page_count")) < pages
        assert blocks.pragma("freelist_count") == 0
    assert list(damages(folder)) == []
    await log.delete_device(1)
    assert {row.device_id for row in await log.recent(DEVICES, 1000, ANY)} == {2, 3}


async def test_small_blocks_that_became_one_give_their_space_back(
    opened: Restarts, folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "BLOCK_ROWS", 4096)
    monkeypatch.setattr(planning, "SMALL_ROWS", 2048)
    monkeypatch.setattr(sqlite_log, "SLICE_ROWS", 200)
    log = await opened()
    payload = json.dumps({f"key-{number}": 1 for number in range(20)}).encode()
    for number in range(8):
        at = NOW + number * 1000
        await log.append([*range(100), *range(100)], [Message(at + row, NOW, None, {}, payload) for row in range(200)])
        await fill(log, 0)
        await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    with closing(file.create(folder)) as blocks:
        assert blocks.execute("SELECT count(*), min(rows) FROM block").get == (100, 16)
        assert 2 * int(blocks.pragma("freelist_count")) <= int(blocks.pragma("page_count"))


async def test_what_is_pruned_while_it_is_sealed_does_not_come_back(
    opened: Restarts, folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await opened()
    await fill(log, 50)
    units = planning.seal_units

    def pruned_after_the_first(counts: list[tuple[int, int]], most_rows: int) -> Iterator[list[int]]:
        for number, unit in enumerate(units(counts, most_rows)):
            if number == 1:
                prune_folder(folder, NOW + 45)
            yield unit

    monkeypatch.setattr(sealing, "seal_units", pruned_after_the_first)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    await log.let_go()
    assert await everything(log) == expected(50)[:5]
    assert (await log.size())[0] == 5


async def test_a_hub_starts_while_its_slices_are_being_sealed(opened: Restarts, folder: Path) -> None:
    """As after a kill: the child of the hub before goes on, and a slice may be gone once it is opened."""
    log = await opened()
    await fill(log, 100)
    await opened.close()
    await asyncio.to_thread(slices.remove, folder / "head_00000001.db")
    await asyncio.to_thread((folder / "head_00000001.db").symlink_to, "gone")
    log = await opened()
    assert await everything(log) == expected(100)[:60]
    await log.delete_device(1)
    assert {row.device_id for row in await log.recent(DEVICES, 1000, ANY)} == {2, 3}


async def test_one_damaged_block_holds_up_only_its_own_device(opened: Restarts, folder: Path, clock: HandClock) -> None:
    log = await opened()
    await fill(log, 50)
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    flip_a_byte(folder, device_id=1)
    for number in range(50, 100):
        late = Message(NOW + number - 50, NOW, None, {"w": 1}, b'{"w":1}')
        await log.append([DEVICES[number % 3]], [late])
    await fill(log, 0)
    (sentence,) = damages(folder)
    assert sentence.startswith("Block 1 of device 1, 2026-09-21T")
    assert sentence.endswith("The checksum of the block is wrong.")
    done = await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    assert (done.slices, done.failed) == (0, 1)
    for device_id in (2, 3):
        assert len(await log.between(device_id, 0, 2**62, 1000)) == len(range(device_id - 1, 100, 3))
    with pytest.raises(LogUnavailable, match=r"Block 1 of device 1 cannot be read: The checksum"):
        await log.between(1, 0, 2**62, 1000)


def flip_a_byte(folder: Path, device_id: int) -> None:
    with closing(file.create(folder)) as blocks:
        block_id, data = blocks.execute(
            "SELECT b.id, d.data FROM block b JOIN block_data d USING (id) WHERE device_id = ?", (device_id,)
        ).get
        broken = data[:30] + bytes([data[30] ^ 1]) + data[31:]
        blocks.execute("UPDATE block_data SET data = ? WHERE id = ?", (broken, block_id))


async def test_a_child_process_seals_what_is_closed_and_goes(
    opened: Restarts, folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await opened()
    work = Sealer(log, folder)
    work.start()
    await fill(log, 100)
    await until(lambda: heads(folder) == 1, 30, what="the child's work")
    await until(lambda: not log.has_closed_slices, what="letting go of the sealed slices")
    assert await everything(log) == expected(100)
    await work.stop()


async def test_a_child_that_fails_is_told_of_and_started_again(
    opened: Restarts, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = await opened()
    await fill(log, 50)
    flaky = folder.parent / "flaky"
    await asyncio.to_thread(flaky.write_text, FLAKY)
    monkeypatch.setattr(sealer, "COMMAND", (sys.executable, str(flaky)))
    monkeypatch.setattr(sealer, "RETRY_S", 0.01)
    work = Sealer(log, folder)
    work.start()
    await until(lambda: heads(folder) == 1, 30, what="the second attempt")
    assert "telemetry could not be sealed, which is tried again in 0 s: no space left" in caplog.text
    await work.stop()


async def test_a_child_that_gets_no_turn_is_followed_by_one_that_insists(
    opened: Restarts, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = await opened()
    await fill(log, 50)
    starved = folder.parent / "starved"
    await asyncio.to_thread(starved.write_text, STARVED)
    monkeypatch.setattr(sealer, "COMMAND", (sys.executable, str(starved)))
    monkeypatch.setattr(sealer, "PATIENCE_S", 0.5)
    work = Sealer(log, folder)
    work.start()
    await until(lambda: heads(folder) == 1, 30, what="the second child")
    assert "could not be sealed" not in caplog.text
    await work.stop()


STARVED = """
import os, pathlib, sys, time
if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_IDLE:
    time.sleep(60)
from roost.telemetry.blocks.__main__ import main
sys.exit(main(pathlib.Path(sys.argv[1])))
"""

FLAKY = """
import pathlib, sys
first = pathlib.Path(__file__).with_name("tried")
if not first.exists():
    first.touch()
    sys.exit("no space left")
from roost.telemetry.blocks.__main__ import main
sys.exit(main(pathlib.Path(sys.argv[1])))
"""


def test_rows_of_the_same_moment_keep_their_order(tmp_path: Path) -> None:
    rows = [Row(number, 1, NOW, NOW, None, b'{"v":%d}' % number, None, None) for number in (1, 3)]
    with closing(file.create(tmp_path)) as blocks, slices.writing(blocks):
        sealing.seal_rows(blocks, 1, rows)
        sealing.seal_rows(blocks, 1, [Row(2, 1, NOW, NOW, None, b'{"v":2}', None, None)])
        (meta,) = file.blocks_between(blocks, 1, 0, 2**62)
        assert read_block(blocks, meta).columns["v"].values.tolist() == [1, 2, 3]


async def test_slices_that_an_earlier_version_wrote_are_taken_over(
    opened: Restarts, folder: Path, clock: HandClock
) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread(write_as_before, folder / "head_00000001.db", 1, 1)
    await asyncio.to_thread(write_as_before, folder / "head_00000002.db", 31, 0)
    log = await opened()
    await fill(log, 0)
    assert await everything(log) == [(number, number, None) for number in range(60, 0, -1)]
    await asyncio.to_thread(sealing.seal_folder, folder, clock.ms)
    assert heads(folder) == 1
    assert await everything(log) == [(number, number, None) for number in range(60, 0, -1)]


def write_as_before(path: Path, first_id: int, closed: int) -> None:
    """Thirty messages in a slice with the tables of format 1, before there were blocks."""
    with closing(apsw.Connection(str(path))) as head:
        head.pragma("journal_mode", "wal")
        head.execute("""
            CREATE TABLE head(id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL, observed_at INTEGER NOT NULL,
                received_at INTEGER NOT NULL, event_type TEXT, payload BLOB NOT NULL, units BLOB, message_id TEXT);
            CREATE TABLE slice(first_id INTEGER NOT NULL, opened_at INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
                first_observed_at INTEGER, last_observed_at INTEGER, last_received_at INTEGER);
            PRAGMA user_version = 1;
        """)
        for number in range(first_id, first_id + 30):
            row = (number, 1 + number % 3, NOW + number, NOW, b'{"v":%d}' % number)
            head.execute("INSERT INTO head VALUES (?, ?, ?, ?, NULL, ?, NULL, NULL)", row)
        if closed:
            head.execute("CREATE INDEX head_device ON head(device_id, observed_at)")
        times = (first_id, NOW, closed, NOW + first_id, NOW + first_id + 29, NOW)
        head.execute("INSERT INTO slice VALUES (?, ?, ?, ?, ?, ?)", times)
