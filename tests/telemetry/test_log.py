"""The log's promises, on each database."""

import asyncio
import shutil
from pathlib import Path

import apsw
import pytest

from roost.telemetry import sqlite_log
from roost.telemetry.log import ANY, Log, LogUnavailable, MessageFilter
from roost.telemetry.messages import Message
from roost.telemetry.sqlite_log import SqliteLog
from tests.telemetry.conftest import NOW, HandClock
from tests.waiting import until

HOUR = 3_600_000


def message(value: int, at: int = NOW, *, message_id: str | None = None, event: str | None = None) -> Message:
    return Message(at, NOW, event, {"v": value}, b'{"v":%d}' % value, None, message_id)


def rows_in_place(folder: Path, copy: Path) -> int:
    """How many rows stand in the first slice's file itself, whatever its write-ahead log holds besides."""
    shutil.copyfile(folder / "head_00000001.db", copy)
    connection = apsw.Connection(str(copy))
    try:
        return int(connection.execute("SELECT count(*) FROM head").get)
    except apsw.SQLError:  # not even the table has come yet
        return 0
    finally:
        connection.close()


def slice_count(folder: Path) -> int:
    return len(list(folder.glob("head_*.db")))


async def values(log: Log, device_id: int = 1) -> list[object]:
    return [row.readings()["v"] for row in await log.between(device_id, 0, 2**62, 1_000_000)]


async def test_what_was_appended_is_read_back_with_its_units_and_id(log: Log) -> None:
    sent = Message(NOW - 5, NOW, "boot", {"v": 1}, b'{"v":1,"why":"power"}', {"v": "°C"}, "m-1")
    await log.append([7], [sent])
    assert sent.id > 0
    (row,) = await log.recent([7], 10, ANY)
    assert (row.id, row.device_id, row.observed_at, row.received_at) == (sent.id, 7, NOW - 5, NOW)
    assert (row.event_type, row.message_id) == ("boot", "m-1")
    assert (row.document(), row.readings(), row.units_by_key()) == ({"v": 1, "why": "power"}, {"v": 1}, {"v": "°C"})
    assert await log.find(sent.id) == row
    assert await log.find(sent.id + 1) is None


async def test_devices_and_times_are_kept_apart(log: Log) -> None:
    await log.append([1, 2, 1], [message(1, NOW - HOUR), message(2), message(3)])
    assert await values(log, 1) == [1, 3]
    assert [row.readings()["v"] for row in await log.between(1, NOW - HOUR, NOW, 10)] == [1]
    assert [row.readings()["v"] for row in await log.between(1, 0, 2**62, 1)] == [3]


async def test_late_messages_take_their_place_in_time_but_count_as_recent(log: Log) -> None:
    await log.append([1, 1], [message(2), message(1, NOW - HOUR)])
    assert await values(log) == [1, 2]
    assert [row.readings()["v"] for row in await log.recent([1], 10, ANY)] == [1, 2]


async def test_filters_of_recent(log: Log) -> None:
    await log.append([1, 1, 2], [message(1, event="boot"), message(2, NOW - HOUR), message(3, event="alarm")])
    ids = [row.id for row in await log.recent([1, 2], 10, ANY)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3

    async def found(wanted: MessageFilter) -> list[object]:
        return [row.readings()["v"] for row in await log.recent([1, 2], 10, wanted)]

    assert await found(MessageFilter(events_only=True)) == [3, 1]
    assert await found(MessageFilter(event_type="boot")) == [1]
    assert await found(MessageFilter(since=NOW)) == [3, 1]
    assert await found(MessageFilter(until=NOW)) == [2]
    assert await found(MessageFilter(before_id=ids[0])) == [2, 1]
    assert await log.recent([], 10, ANY) == []


async def test_a_known_message_id_is_stored_once_for_a_day(log: Log, clock: HandClock) -> None:
    await log.append([1, 2, 1], [message(1, message_id="a"), message(2, message_id="a"), message(3, message_id="a")])
    again = message(4, message_id="a")
    await log.append([1], [again])
    assert again.id == 0
    assert await values(log, 1) == [1]
    assert await values(log, 2) == [2]
    clock.ms += 25 * HOUR
    later = Message(clock.ms, clock.ms, None, {"v": 5}, b'{"v":5}', None, "a")
    await log.append([1], [later])
    assert later.id > 0


async def test_deleting_a_device_leaves_the_others(log: Log) -> None:
    await log.append([1, 2], [message(1), message(2)])
    await log.delete_device(1)
    assert await values(log, 1) == []
    assert await values(log, 2) == [2]


async def test_prune_deletes_by_the_time_of_observation(log: Log) -> None:
    await log.append([1, 1], [message(1, NOW - HOUR), message(2)])
    assert await log.prune(NOW) == 1
    assert await values(log) == [2]
    assert (await log.size())[0] == 1


class TestSlices:
    """What only the log of files does."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "slices"

    @pytest.fixture(autouse=True)
    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_log, "SLICE_ROWS", 10)

    async def test_reads_see_open_and_closed_slices_as_one(self, folder: Path, clock: HandClock) -> None:
        log = SqliteLog(folder, clock)
        await log.open()
        for number in range(35):
            await log.append([1 + number % 2], [message(number, NOW + number)])
        assert slice_count(folder) == 4
        assert await values(log, 1) == list(range(0, 35, 2))
        await until(lambda: all(part.open is None for part in log._slices[:-1]), what="the closing of the slices")
        assert await values(log, 1) == list(range(0, 35, 2))
        assert [row.readings()["v"] for row in await log.recent([1, 2], 20, ANY)] == list(range(34, 14, -1))
        await log.close()

    async def test_what_is_written_moves_to_its_place_while_writing_goes_on(
        self, folder: Path, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_log, "CHECKPOINT_ROWS", 4)
        log = SqliteLog(folder, clock)
        await log.open()
        assert rows_in_place(folder, tmp_path / "copy.db") == 0
        for number in range(4):
            await log.append([1], [message(number)])
        await until(lambda: rows_in_place(folder, tmp_path / "copy.db") == 4, what="The checkpoint of four rows")
        await log.close()

    async def test_everything_is_there_after_a_restart(self, folder: Path, clock: HandClock) -> None:
        first = SqliteLog(folder, clock)
        await first.open()
        for number in range(25):
            await first.append([1], [message(number, NOW + number, message_id=f"id-{number}")])
        await first.close()
        second = SqliteLog(folder, clock)
        await second.open()
        for number in range(25):
            again = message(number, NOW + number, message_id=f"id-{number}")
            await second.append([1], [again])
            assert again.id == 0
        new = message(25, NOW + 25)
        await second.append([1], [new])
        assert await values(second) == list(range(26))
        assert new.id == 26
        await second.close()

    async def test_whole_old_slices_are_dropped_as_files(self, folder: Path, clock: HandClock) -> None:
        log = SqliteLog(folder, clock)
        await log.open()
        for number in range(25):
            await log.append([1], [message(number, NOW + number)])
        await until(lambda: all(part.open is None for part in log._slices[:-1]), what="the closing of the slices")
        assert await log.prune(NOW + 22) == 22
        assert slice_count(folder) == 1
        assert await values(log) == [22, 23, 24]
        await log.append([1], [message(25, NOW + 25)])
        assert await values(log) == [22, 23, 24, 25]
        await log.close()

    async def test_a_slice_that_was_only_just_begun_when_the_hub_died_is_begun_again(
        self, folder: Path, clock: HandClock
    ) -> None:
        log = SqliteLog(folder, clock)
        await log.open()
        await log.append([1], [message(1)])
        await log.close()
        await asyncio.to_thread((folder / "head_00000002.db").touch)
        again = SqliteLog(folder, clock)
        await again.open()
        await again.append([1], [message(2)])
        assert await values(again) == [1, 2]
        await again.close()

    async def test_a_second_hub_on_the_same_folder_is_refused(self, folder: Path, clock: HandClock) -> None:
        log = SqliteLog(folder, clock)
        await log.open()
        second = SqliteLog(folder, clock)
        with pytest.raises(LogUnavailable, match="already using"):
            await second.open()
        await second.close()
        await log.close()

    async def test_a_failed_append_stores_nothing_and_the_next_one_works(self, folder: Path, clock: HandClock) -> None:
        log = SqliteLog(folder, clock)
        await log.open()
        await log.append([1], [message(1)])
        with pytest.raises(OverflowError):
            await log.append([1, 1], [message(2), Message(2**70, NOW, None, {}, b"{}")])
        await log.append([1], [message(3, NOW + 1)])
        assert await values(log) == [1, 3]
        await log.close()
