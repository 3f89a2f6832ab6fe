"""Head and blocks answer as one: whatever is sent, sealed, pruned, stopped and started, like a list in memory."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from roost.telemetry import message_ids, slices, sqlite_log
from roost.telemetry.blocks import events, file, pieces, planning, reads, sealing
from roost.telemetry.columns import frame_of
from roost.telemetry.frames import ColumnSummary, Frame, Summary
from roost.telemetry.log import ANY, MessageFilter, Row, mark_of, without_resends
from roost.telemetry.messages import Message, Value
from roost.telemetry.sqlite_log import SqliteLog
from tests.telemetry.blocks.readings import as_sent, in_time, numbers, readings
from tests.telemetry.conftest import HandClock

DEVICES = (1, 2)
SECOND = 1000
SMALL = {
    (sqlite_log, "SLICE_ROWS"): 12,
    (planning, "BLOCK_ROWS"): 8,
    (planning, "SMALL_ROWS"): 4,
    (planning, "SMALL_RUN"): 3,
    (planning, "REWRITE_ROWS"): 24,
    (sealing, "UNIT_ROWS"): 6,
    (sealing, "SMALL_EVENTS"): 3,
    (sealing, "SMALL_RUN"): 3,
    (events, "BLOCK_ROWS"): 4,
    (file, "CHUNK"): 2,
    (reads, "SUMMARIES"): 5,
    (reads, "FRAME_ROWS"): 10,
    (pieces, "FRAME_ROWS"): 10,
}

documents = st.dictionaries(st.sampled_from(["a", "b.c"]), numbers, min_size=1)


class Stopped(BaseException):
    """The process that seals is gone."""


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for (module, name), value in SMALL.items():
        patch.setattr(module, name, value)
    yield
    patch.undo()


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """Whoever seals is stopped before its transaction or removal number `steps`."""
    left = iter(range(steps))
    writing, remove = slices.writing, slices.remove

    def step() -> None:
        if next(left, None) is None:
            raise Stopped

    @contextmanager
    def counted(connection: Any) -> Iterator[None]:
        with writing(connection):
            yield
            step()

    def removed(path: Path) -> None:
        step()
        remove(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "writing", counted)
        patch.setattr(slices, "remove", removed)
        yield


class Store(RuleBasedStateMachine):
    """A log of tiny slices and blocks beside a list of everything that was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="roost-as-one-"))
        self.clock = HandClock()
        self.runner = asyncio.Runner()
        self.rows: list[Row] = []
        # With the row that an id was stored with.
        self.ids: dict[tuple[int, str], int] = {}
        self.newest = 0

    @initialize()
    def start(self) -> None:
        self.log = SqliteLog(self.folder, self.clock)
        self.runner.run(self.log.open())

    def teardown(self) -> None:
        self.runner.run(self.log.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(
        sent=st.lists(
            st.tuples(
                st.sampled_from(DEVICES),
                st.none() | st.integers(-40, 3),
                st.sampled_from([None, None, None, None, "boot", "alarm"]),
                documents,
                st.none() | st.sampled_from(["°C", "K"]),
                st.sampled_from([None, None, None, "m1", "m2", "m3"]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    def append(self, sent: list[tuple[int, int | None, str | None, dict[str, Value], str | None, str | None]]) -> None:
        self.clock.ms += SECOND
        devices, messages = [], []
        for device_id, late_s, event, values, unit, message_id in sent:
            at = self.clock.ms if late_s is None else self.clock.ms + late_s * SECOND
            payload = msgspec.json.encode(values)
            message = Message(at, self.clock.ms, event, values, payload, {"a": unit} if unit else None, message_id)
            devices.append(device_id)
            messages.append(message)
        self.runner.run(self.log.append(devices, messages))
        for device_id, message in zip(devices, messages, strict=True):
            if message.message_id is None:
                assert message.id
            else:
                self._recognised(device_id, message.message_id, message.id)
            if message.id:
                self.newest = message.id
                units = message.units and msgspec.json.encode(message.units)
                self.rows.append(
                    Row(
                        message.id, device_id, message.observed_at, message.received_at, message.event_type,
                        message.payload, units or None, message.message_id,
                    )
                )  # fmt: skip

    @rule(number=st.integers(0, 5))
    def send_again(self, number: int) -> None:
        """Copies of messages that have a time of their own, some of them sealed long ago."""
        own = [row for row in self.rows if row.observed_at != row.received_at and row.message_id is None]
        self.clock.ms += SECOND
        for row in own[number :: max(1, len(own) // 4)]:
            message = Message(row.observed_at, self.clock.ms, row.event_type, {}, row.payload, None, None)
            self.runner.run(self.log.append([row.device_id], [message]))
            self.newest = message.id
            again = msgspec.structs.replace(row, id=message.id, received_at=self.clock.ms, units=None)
            self.rows.append(again)

    @rule()
    def seal(self) -> None:
        self._closed()
        sealing.seal_folder(self.folder, self.clock.now_ms())
        self.runner.run(self.log.let_go())
        assert len(list(self.folder.glob("head_*.db"))) == 1

    @rule(steps=st.integers(0, 12))
    def seal_and_stop(self, steps: int) -> None:
        self._closed()
        with stopped_after(steps):
            try:
                sealing.seal_folder(self.folder, self.clock.now_ms())
            except Stopped:
                return

    @rule()
    def restart(self) -> None:
        self.runner.run(self.log.close())
        self.start()

    @rule(back=st.integers(0, 60))
    def prune(self, back: int) -> None:
        before = self.clock.ms - back * SECOND
        self.runner.run(self.log.prune(before))
        self.rows = [row for row in self.rows if row.observed_at >= before]
        self._forget_ids()

    @precondition(lambda self: self.rows)
    @rule(device_id=st.sampled_from(DEVICES))
    def delete_device(self, device_id: int) -> None:
        self.runner.run(self.log.delete_device(device_id))
        self.rows = [row for row in self.rows if row.device_id != device_id]
        self._forget_ids()

    @invariant()
    def every_reading_is_there(self) -> None:
        for device_id in DEVICES:
            rows = in_time([row for row in self.rows if row.device_id == device_id])
            assert self._readings(device_id, 0, 2**62) == readings(frame_of(device_id, rows))
            since, until = self.clock.ms - 15 * SECOND, self.clock.ms - 4 * SECOND
            inside = [row for row in rows if since <= row.observed_at < until]
            assert self._readings(device_id, since, until, ("a",)) == readings(frame_of(device_id, inside, ("a",)))

    @invariant()
    def many_devices_at_once_say_what_each_says(self) -> None:
        since, until = self.clock.ms - 25 * SECOND, self.clock.ms - 2 * SECOND
        for keys in ((), ("a",)):
            frames = self._batches(DEVICES[::-1], since, until, keys=keys)
            summed = self._batches(DEVICES[::-1], since, until, keys=keys, whole=lambda _start, _end: True)
            for found in (frames, summed):
                devices = [piece.device_id for piece in found]
                assert devices == sorted(devices, reverse=True)
            for device_id in DEVICES:
                inside = [row for row in self.rows if row.device_id == device_id and since <= row.observed_at < until]
                expected = frame_of(device_id, in_time(inside), keys)
                assert _of_device(frames, device_id) == readings(expected)
                counts = Counter({key: len(column.floats()) for key, column in expected.columns.items()})
                assert _counts(summed, device_id) == counts

    @invariant()
    def summaries_say_what_the_readings_say(self) -> None:
        for device_id in DEVICES:
            rows = in_time([row for row in self.rows if row.device_id == device_id])
            for piece in self._pieces(device_id, 0, 2**62, whole=lambda _start, _end: True):
                if isinstance(piece, Summary):
                    inside = frame_of(device_id, [row for row in rows if piece.start <= row.observed_at <= piece.end])
                    counts = {key: len(column.floats()) for key, column in inside.columns.items()}
                    assert {key: column.count for key, column in piece.columns.items()} == counts
                    for key, column in piece.columns.items():
                        values = inside.columns[key].floats()
                        assert (column.min, column.max) == (values.min(), values.max())
                        assert (column.first, column.last) == (values[0], values[-1])

    @invariant()
    def every_message_is_there(self) -> None:
        for wanted in (ANY, MessageFilter(events_only=True), MessageFilter(event_type="boot", until=self.clock.ms)):
            expected = [row for row in self.rows if _matches(row, wanted)]
            found = self.runner.run(self.log.recent(DEVICES, 10_000, wanted))
            assert [row.id for row in found] == sorted((row.id for row in found), reverse=True)
            self._same_messages(found, expected)
        for device_id in DEVICES:
            expected = [row for row in self.rows if row.device_id == device_id]
            found = self.runner.run(self.log.between(device_id, 0, 2**62, 10_000))
            assert found == in_time(found)
            self._same_messages(found, expected)
            newest = self.runner.run(self.log.between(device_id, 0, self.clock.ms, 3))
            assert newest == [row for row in found if row.observed_at < self.clock.ms][-3:]

    @invariant()
    def pages_give_every_message_once(self) -> None:
        everything = self.runner.run(self.log.recent(DEVICES, 10_000, ANY))
        paged: list[Row] = []
        before_id = None
        while page := self.runner.run(self.log.recent(DEVICES, 4, MessageFilter(before_id=before_id))):
            paged += page
            before_id = page[-1].id
        assert paged == everything

    @invariant()
    def every_event_is_found(self) -> None:
        for row in self.rows:
            if row.event_type is not None:
                assert self.runner.run(self.log.find(row.id)) == row
        assert self.runner.run(self.log.find(10**9)) is None

    def _closed(self) -> None:
        """The slices that are full have their indexes."""
        self.log._closer._thread.submit(lambda: None).result()

    def _recognised(self, device_id: int, message_id: str, row_id: int) -> None:
        """`row_id`: 0 when the log knew the id. That it knows one of older slices than the last is not promised."""
        known = self.ids.get((device_id, message_id))
        if known is None or known > self.newest - message_ids.RESEND_SLICES * sqlite_log.SLICE_ROWS:
            assert (row_id == 0) == (known is not None)
        if row_id:
            self.ids[device_id, message_id] = row_id

    def _forget_ids(self) -> None:
        """What is deleted may come again: whether its id is still known is not promised."""
        known = {(row.device_id, row.message_id) for row in self.rows}
        for device_id, message_id in list(self.ids):
            if (device_id, message_id) not in known:
                self.runner.run(self._make_known(device_id, message_id))

    async def _make_known(self, device_id: int, message_id: str) -> None:
        at = self.clock.ms
        message = Message(at, at, None, {"a": 1}, b'{"a":1}', None, message_id)
        await self.log.append([device_id], [message])
        if message.id:
            self.ids[device_id, message_id] = self.newest = message.id
            self.rows.append(Row(message.id, device_id, at, at, None, b'{"a":1}', None, message_id))

    def _pieces(self, device_id: int, since: int, until: int, **asked: Any) -> list[Frame | Summary]:
        async def collect() -> list[Frame | Summary]:
            return [piece async for piece in self.log.pieces(device_id, since, until, **asked)]

        return self.runner.run(collect())

    def _batches(self, device_ids: Sequence[int], since: int, until: int, **asked: Any) -> list[Frame | Summary]:
        async def collect() -> list[Frame | Summary]:
            return [piece async for batch in self.log.batches(device_ids, since, until, **asked) for piece in batch]

        return self.runner.run(collect())

    def _readings(self, device_id: int, since: int, until: int, keys: Sequence[str] = ()) -> list[Any]:
        found = []
        last = -1
        for piece in self._pieces(device_id, since, until, keys=keys):
            assert isinstance(piece, Frame)
            assert piece.device_id == device_id
            assert last < piece.times[0]
            last = int(piece.times[-1])
            found += readings(piece)
        return sorted(found, key=lambda reading: (reading[0], reading[1]))

    def _same_messages(self, found: list[Row], expected: list[Row]) -> None:
        """Each once, as it was sent, in the order of arrival; of copies it may be any."""
        copies = Counter(mark_of(row) for row in expected if row.observed_at != row.received_at)
        assert {mark_of(row) for row in found} == {mark_of(row) for row in expected}

        def single(rows: list[Row]) -> list[Any]:
            return [as_sent(row) for row in sorted(rows, key=lambda row: row.id) if copies[mark_of(row)] <= 1]

        assert single(found) == single(expected)
        assert len(without_resends(found)) == len(without_resends(expected))


def _of_device(pieces: Sequence[Frame | Summary], device_id: int) -> list[Any]:
    """The readings of one device, which come by time."""
    frames = [piece for piece in pieces if isinstance(piece, Frame) and piece.device_id == device_id]
    moments = [moment for frame in frames for moment in frame.times.tolist()]
    assert moments == sorted(moments)
    return sorted((reading for frame in frames for reading in readings(frame)), key=lambda reading: reading[:2])


def _counts(pieces: Sequence[Frame | Summary], device_id: int) -> Counter[str]:
    counts = Counter[str]()
    for piece in pieces:
        if piece.device_id == device_id:
            for key, column in piece.columns.items():
                counts[key] += column.count if isinstance(column, ColumnSummary) else len(column.floats())
    return counts


def _matches(row: Row, wanted: MessageFilter) -> bool:
    return (
        (not wanted.events_only or row.event_type is not None)
        and (wanted.event_type is None or row.event_type == wanted.event_type)
        and (wanted.until is None or row.observed_at < wanted.until)
    )


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.soak
def test_long_histories() -> None:
    long = settings(
        max_examples=300, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(Store, settings=long)
