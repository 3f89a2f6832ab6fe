"""The log on one box: a row per message in SQLite files, one file per slice of time.

One thread writes (group commit, fsynced), one tidies up behind it (checkpoints, closing slices), two read. A slice is
closed after so many messages or a day; dropping old data is then dropping files.
"""

import asyncio
import fcntl
import importlib
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import apsw
import msgspec

from roost.core.clock import Clock
from roost.telemetry import slices
from roost.telemetry.blocks.file import FILE as BLOCKS_FILE
from roost.telemetry.blocks.file import connect as connect_blocks
from roost.telemetry.blocks.file import count_messages, sealed_devices
from roost.telemetry.closing import SliceCloser
from roost.telemetry.log import CoarseRow, LogUnavailable, MessageFilter, Row
from roost.telemetry.message_ids import RESEND_WINDOW_MS, ClosedIds
from roost.telemetry.messages import Message
from roost.telemetry.prune import delete_rows, prune_slices
from roost.telemetry.slice_reads import SliceReader

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary

logger = logging.getLogger(__name__)

T = TypeVar("T")

SLICE_ROWS = 400_000
SLICE_MESSAGE_IDS = 100_000
CHECKPOINT_ROWS = 20_000
SLICE_AGE_MS = 24 * 3600 * 1000
LOCK_FILE = "lock"
INSERT_SIZES = (1024, 128, 16, 4, 1)

_encode = msgspec.json.Encoder().encode
_INSERT = f"INSERT INTO head({slices.COLUMNS}) VALUES "  # noqa: S608 - own words
_INSERTS = {size: _INSERT + ",".join(["(?,?,?,?,?,?,?,?)"] * size) for size in INSERT_SIZES}


def in_use(folder: Path) -> bool:
    """Whether another process is writing the log in this folder."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


class SqliteLog:
    """See `roost.telemetry.log.Log`. A message id alone is recognised for 24 h, within the last eight slices."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        # Oldest first, the one being written last. Replaced, never changed: readers keep the list they took.
        self._slices: list[slices.Slice] = []
        self._connection: apsw.Connection | None = None
        self._opened: slices.OpenSlice
        self._writer = ThreadPoolExecutor(1, "telemetry-log")
        self._closer = SliceCloser()
        self._reader = SliceReader(folder)
        self._closed_ids = ClosedIds(folder)
        self._lock: int | None = None
        self._checkpointed_id = 0

    async def open(self) -> None:
        await self._on_writer(self._open_all)

    async def close(self) -> None:
        await self._on_writer(self._close_connections)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        await asyncio.to_thread(self._closer.shutdown)
        await asyncio.to_thread(self._reader.close)
        self._writer.shutdown()

    async def append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        await self._on_writer(self._append, device_ids, messages)

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        return await self._reader.recent(self._slices, device_ids, limit, wanted)

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        return await self._reader.between(self._slices, device_id, since, until, limit)

    async def pieces(
        self,
        device_id: int,
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncIterator[Frame | Summary]":
        async with aclosing(self.batches([device_id], since, until, keys=keys, whole=whole)) as batches:
            async for batch in batches:
                for piece in batch:
                    yield piece

    async def batches(
        self,
        device_ids: Sequence[int],
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncGenerator[list[Frame | Summary], None]":
        place, more = None, since < until and len(device_ids) > 0
        while more:
            found, place = await self._reader.batch(
                self._slices, device_ids, place, (since, until), keys=keys, whole=whole
            )
            more = place is not None
            yield found

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        return await self._reader.coarse(device_id, since, until, limit)

    async def find(self, message_id: int) -> Row | None:
        return await self._reader.find(self._slices, message_id)

    async def delete_device(self, device_id: int) -> None:
        await self._on_writer(self._delete_device, device_id)
        await self._on_blocks("delete_device", device_id)

    async def prune(self, before: int) -> int:
        # First the slices, then the blocks: what is sealed in between is found by the second step.
        deleted = await self._on_writer(self._prune_slices, before)
        return deleted + await self._on_blocks("prune_blocks", before)

    async def size(self) -> tuple[int, int]:
        return await self._on_writer(self._size)

    async def let_go(self) -> None:
        """Slices may have been sealed: gives back the space of those that are gone."""
        await self._on_writer(self._let_go)

    def when_closed(self, callback: Callable[[], object]) -> None:
        """Calls `callback` on a thread of the log whenever a slice can be sealed."""
        self._closer.on_closed = callback

    @property
    def has_closed_slices(self) -> bool:
        """Whether there is anything that could be sealed."""
        return len(self._slices) > 1

    async def _on_blocks(self, name: str, argument: int) -> int:
        """Changes the blocks in a thread of its own, since it may have to wait for whoever is sealing."""
        if not await asyncio.to_thread((self._folder / BLOCKS_FILE).exists):
            return 0
        changes = await asyncio.to_thread(importlib.import_module, "roost.telemetry.blocks.changes")
        try:
            changed: int = await asyncio.to_thread(getattr(changes, name), self._folder, argument)
        except (apsw.Error, OSError) as error:
            raise LogUnavailable(str(error)) from error
        return changed

    async def _on_writer(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, work, *arguments)
        except (apsw.Error, OSError) as error:
            raise LogUnavailable(str(error)) from error

    # On the writer thread from here on.

    def _open_all(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # A synced file is lost all the same when the folder that it is in never reached the disk under its name.
        for folder in (self._folder.parent, self._folder.parent.parent):
            with suppress(PermissionError):
                slices.sync_folder(folder)
        self._take_folder()
        paths = sorted(self._folder.glob("head_*.db"))
        while paths and not slices.is_complete(paths[-1]):
            slices.remove(paths.pop())
        found = [part for path in paths[:-1] if (part := _adopt(path)) is not None]
        if paths:
            self._connection = slices.connect(paths[-1])
            self._opened = slices.OpenSlice(self._connection)
            newest = slices.Slice(slices.slice_number(paths[-1]), paths[-1], open=self._opened)
        else:
            newest = self._start_slice(1, 1)
        self._slices = [*found, newest]
        self._closed_ids.start(found)
        self._checkpointed_id = self._opened.next_id
        for part in found:
            if part.open is not None:
                self._closer.finish(part)

    def _take_folder(self) -> None:
        """Two hubs on one folder would each believe to be the only writer. The lock ends with the process."""
        if self._lock is None:
            self._lock = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._lock)
                self._lock = None
                raise LogUnavailable(f"Another hub is already using {self._folder}.") from None

    def _start_slice(self, number: int, first_id: int) -> slices.Slice:
        path = slices.slice_path(self._folder, number)
        self._connection = slices.create(path, first_id, self._clock.now_ms())
        slices.sync_folder(self._folder)
        self._opened = slices.OpenSlice(self._connection)
        return slices.Slice(number, path, open=self._opened)

    def _writing(self) -> apsw.Connection:
        if self._connection is None:
            self._open_all()
        if self._connection is None:
            raise LogUnavailable("The log is closed.")
        return self._connection

    def _append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        try:
            self._write(device_ids, messages)
        except BaseException:
            # What memory knows may now differ from the disk: start again from the disk.
            self._close_connections()
            raise
        self._checkpoint_if_due()
        self._roll_if_due()

    def _write(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        """Inserts and commits; the ids are given out only once the commit is on disk."""
        connection, opened = self._writing(), self._opened
        pairs = list(zip(device_ids, messages, strict=True))
        if any(message.message_id is not None for message in messages):
            pairs = self._without_resends(pairs)
        connection.execute("BEGIN IMMEDIATE")
        self._insert(connection, pairs, opened.next_id)
        connection.execute("COMMIT")
        for row_id, (device_id, message) in enumerate(pairs, opened.next_id):
            message.id = row_id
            if message.message_id is not None:
                opened.message_ids[hash((device_id, message.message_id))] = row_id
        if pairs:
            observed = [message.observed_at for _, message in pairs]
            received = max(message.received_at for _, message in pairs)
            opened.append([device_id for device_id, _ in pairs], min(observed), max(observed), received)

    def _insert(self, connection: apsw.Connection, pairs: list[tuple[int, Message]], row_id: int) -> None:
        values: list[object] = []
        for device_id, message in pairs:
            units = message.units
            values += (
                row_id, device_id, message.observed_at, message.received_at, message.event_type, message.payload,
                units and _encode(units), message.message_id,
            )  # fmt: skip
            row_id += 1
        start, left = 0, len(pairs)
        for size in INSERT_SIZES:
            while left >= size:
                connection.execute(_INSERTS[size], values[start : start + size * 8])
                start += size * 8
                left -= size

    def _without_resends(self, pairs: list[tuple[int, Message]]) -> list[tuple[int, Message]]:
        here: set[tuple[int, str]] = set()
        new = []
        for device_id, message in pairs:
            message_id = message.message_id
            if message_id is not None:
                if (device_id, message_id) in here or self._is_resend(device_id, message_id, message.received_at):
                    continue
                here.add((device_id, message_id))
            new.append((device_id, message))
        return new

    def _is_resend(self, device_id: int, message_id: str, now_ms: int) -> bool:
        since = now_ms - RESEND_WINDOW_MS
        row_id = self._opened.message_ids.get(hash((device_id, message_id)))
        if row_id is not None:
            found = (
                self._writing()
                .execute(
                    "SELECT 1 FROM head WHERE id = ? AND device_id = ? AND message_id = ? AND received_at >= ?",
                    (row_id, device_id, message_id, since),
                )
                .get
            )
            if found:
                return True
        return self._closed_ids.has(device_id, message_id, since)

    def _checkpoint_if_due(self) -> None:
        """A little at a time, so that closing a slice has no mountain of pages to sync beside the commits."""
        opened = self._opened
        if opened.next_id - self._checkpointed_id >= CHECKPOINT_ROWS:
            self._checkpointed_id = opened.next_id
            self._closer.checkpoint(self._slices[-1].path)

    def _roll_if_due(self) -> None:
        opened = self._opened
        full = opened.next_id - opened.first_id >= SLICE_ROWS or len(opened.message_ids) >= SLICE_MESSAGE_IDS
        old = self._clock.now_ms() - opened.opened_at >= SLICE_AGE_MS
        if not (full or (old and opened.next_id > opened.first_id)):
            return
        try:
            self._roll(opened)
        except (apsw.Error, OSError):
            # The messages are safe where they are; the next append tries again.
            logger.exception("could not start a new telemetry slice")

    def _roll(self, opened: slices.OpenSlice) -> None:
        connection, full = self._writing(), self._slices[-1]
        full.first_observed_at, full.last_observed_at = opened.first_observed_at, opened.last_observed_at
        full.last_received_at = opened.last_received_at
        self._slices = [*self._slices, self._start_slice(full.number + 1, opened.next_id)]
        self._closed_ids.add(full)
        self._closer.finish(full, connection)

    def _prune_slices(self, before: int) -> int:
        deleted = prune_slices(self._folder, before)
        self._let_go()
        return deleted

    def _let_go(self) -> None:
        """Forgets the slices whose files are gone, pruned or sealed, so that nothing keeps their space."""
        self._closed_ids.let_go()
        self._slices = [*(part for part in self._slices[:-1] if part.path.exists()), self._slices[-1]]
        self._reader.let_go()

    def _delete_device(self, device_id: int) -> None:
        for part in self._slices:
            with suppress(apsw.CantOpenError), closing(slices.connect(part.path)) as connection:
                delete_rows(connection, "device_id = ?", device_id)

    def _size(self) -> tuple[int, int]:
        blocks = connect_blocks(self._folder)
        messages = 0
        with nullcontext() if blocks is None else closing(blocks):
            for part in self._slices:
                sealed = sealed_devices(blocks, part.number) if blocks is not None else set()
                with suppress(apsw.CantOpenError):
                    messages += _count(part.path, sealed)
            if blocks is not None:
                messages += count_messages(blocks)
        return messages, sum(file.stat().st_size for file in self._folder.iterdir())

    def _close_connections(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._closed_ids.close()


def _adopt(path: Path) -> slices.Slice | None:
    """A slice that was finished in an earlier life, or whose index still has to be built; None: sealed just now."""
    try:
        connection = slices.connect(path)
    except apsw.CantOpenError:
        return None
    with closing(connection):
        closed, first, last, received = connection.execute(
            "SELECT closed, first_observed_at, last_observed_at, last_received_at FROM slice"
        ).get
        number = slices.slice_number(path)
        if closed:
            return slices.Slice(number, path, first or 0, last or 0, received or 0)
        return slices.Slice(number, path, open=slices.OpenSlice(connection))


def _count(path: Path, sealed: set[int]) -> int:
    """The messages in a slice but for those of sealed devices."""
    with closing(slices.connect(path)) as connection:
        sql = "SELECT count(*) FROM head WHERE device_id NOT IN (SELECT value FROM json_each(?))"
        return int(connection.execute(sql, (json.dumps(list(sealed)),)).get)
