"""From the stream into the store: each part by one writer at a time, many batches in one transaction, each once."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any, NamedTuple

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import SQLAlchemyError

from roost.core.nats import COMMITTED_SUBJECT, Nats, NatsAway
from roost.core.tasks import end
from roost.devices.identity import DeviceIdentity
from roost.telemetry.log import LogUnavailable
from roost.telemetry.messages import Committed, Message
from roost.telemetry.postgres_log import Beside, PostgresLog
from roost.telemetry.stream_format import BadBatch, decode_batch, encode_group
from roost.telemetry.stream_positions import DeadLetter, Overtaken, Position, Positions
from roost.telemetry.stream_reading import Incoming, PartReader

GROUP_MESSAGES = 5_000
WAITING_BATCHES = 64
SHARE_INTERVAL_S = 2.0
_TOLD_MESSAGES = 1_000
_RETRIES_S = (0.1, 0.3, 1.0, 2.0)

Identify = Callable[[Collection[int]], Awaitable[dict[int, DeviceIdentity | None]]]
Told = Callable[[list[Committed]], None]
Buried = Callable[[DeadLetter], None]

logger = logging.getLogger(__name__)


class _WouldWork(Exception):  # noqa: N818 - it takes a transaction back
    """Nothing was in the way."""


class _Row(NamedTuple):
    incoming: Incoming
    device_id: int
    message: Message


class _Group:
    """Batches that are stored together."""

    def __init__(self) -> None:
        self.incoming: list[Incoming] = []
        self.rows: list[_Row] = []
        self.letters: list[DeadLetter] = []

    def add(self, incoming: Incoming) -> None:
        self.incoming.append(incoming)
        try:
            device_ids, messages = decode_batch(incoming.body)
        except BadBatch as error:
            self.letters.append(_letter(incoming, None, str(error), incoming.body))
        else:
            self.rows += map(_Row, repeat(incoming), device_ids, messages)

    def ends(self) -> dict[int, Position]:
        """How far each part is, once this is stored."""
        return {one.partition: one.position for one in self.incoming}


class StoreWriter:
    """One of any number of writers. Goes on by itself when the database or NATS was away; loses nothing meanwhile."""

    def __init__(
        self,
        client: Nats,
        log: PostgresLog,
        database_url: str,
        identify: Identify,
        *,
        told: Told = lambda _: None,
        buried: Buried = lambda _: None,
    ) -> None:
        """`identify` finds devices by id, None for those that nobody may hear live; who is missing was deleted.

        `told` hears what was stored in this process, `buried` what could not be.
        """
        self.name = secrets.token_hex(8)
        self.stored_total = 0
        self._nats = client
        self._log = log
        self._positions = Positions(database_url, self.name)
        self._identify = identify
        self._told = told
        self._buried = buried
        self._stored: dict[int, Position] = {}
        self._purged: dict[int, int] = {}
        self._readers: dict[int, PartReader] = {}
        self._queue: asyncio.Queue[Incoming] = asyncio.Queue(WAITING_BATCHES)
        self._groups_told = 0
        self._away = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._share_regularly(), name="telemetry-share"),
            asyncio.create_task(self._write(), name="telemetry-write"),
        ]

    async def stop(self) -> None:
        """End between two transactions and leave the parts to the other writers at once."""
        await end(*self._tasks)
        await self._stop_reading(list(self._readers))
        with suppress(LogUnavailable):
            await self._positions.leave()

    # -- whose parts

    async def _share_regularly(self) -> None:
        while True:
            try:
                await self._share()
                await self._purge()
            except (LogUnavailable, NatsAway) as error:
                logger.debug("parts of the stream cannot be shared: %s", error)
            await asyncio.sleep(SHARE_INTERVAL_S)

    async def _share(self) -> None:
        ours = await self._positions.share()
        await self._stop_reading([partition for partition in self._readers if partition not in ours])
        for partition, position in ours.items():
            if partition not in self._readers:
                self._stored[partition] = position
                self._readers[partition] = PartReader(self._nats, partition, position, self._queue.put)

    async def _stop_reading(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            reader = self._readers.pop(partition)
            self._stored.pop(partition, None)
            await reader.stop()
        # What came from them is not ours to store any more.
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for incoming in waiting:
            if incoming.partition in self._readers:
                self._queue.put_nowait(incoming)

    async def _purge(self) -> None:
        """What is stored need not stay in the stream, but for the last of each part, which proves its position.

        The proof comes first: in another stream the same number may be that of something new.
        """
        for partition, position in list(self._stored.items()):
            if position.sequence in {0, self._purged.get(partition)}:
                continue
            if await self._nats.holds(position.sequence, position.batch_id):
                await self._nats.purge(partition, position.sequence)
                self._purged[partition] = position.sequence

    # -- storing

    async def _write(self) -> None:
        while True:
            group = _Group()
            group.add(await self._queue.get())
            while len(group.rows) < GROUP_MESSAGES and not self._queue.empty():
                group.add(self._queue.get_nowait())
            await self._store_until_done(group)

    async def _store_until_done(self, group: _Group) -> None:
        tries = 0
        while group.incoming:
            try:
                await self._store(group)
            except Overtaken as error:
                logger.info("%s; it is looked up anew", error)
                group = await self._what_is_left(group)
            except (LogUnavailable, SQLAlchemyError, OSError) as error:
                self._note_away(error)
                await asyncio.sleep(_RETRIES_S[min(tries, len(_RETRIES_S) - 1)])
                tries += 1
            except Exception:
                logger.exception("messages from the stream could not be stored; they are tried again")
                await asyncio.sleep(_RETRIES_S[-1])
            else:
                return

    async def _store(self, group: _Group) -> None:
        devices = await self._identify({row.device_id for row in group.rows})
        # The others were deleted while their messages were on the way.
        group.rows = [row for row in group.rows if row.device_id in devices]
        ends = group.ends()
        steps = {partition: (self._stored_of(partition), reached) for partition, reached in ends.items()}

        async def beside(connection: Any) -> None:
            await self._positions.bury(connection, group.letters)
            await self._positions.advance(connection, steps)

        try:
            await self._append(group.rows, beside)
        except LogUnavailable as error:
            if not _is_about_the_data(error):
                raise
            await self._set_apart(group, str(error))
            await self._append(group.rows, beside)
        self._stored.update({partition: reached for partition, reached in ends.items() if partition in self._stored})
        self._note_stored(group)
        await self._tell(group, devices)

    async def _append(self, rows: Sequence[_Row], beside: Beside) -> None:
        await self._log.append([row.device_id for row in rows], [row.message for row in rows], beside=beside)

    def _stored_of(self, partition: int) -> Position:
        position = self._stored.get(partition)
        if position is None:
            raise Overtaken(f"part {partition} is another writer's now")
        return position

    def _note_stored(self, group: _Group) -> None:
        if self._away:
            self._away = False
            logger.info("telemetry is being stored again")
        self.stored_total += len(group.rows)
        for letter in group.letters:
            logger.error("part %s, %s cannot be stored: %s", letter.partition, letter.sequence, letter.reason)
            self._buried(letter)

    async def _tell(self, group: _Group, devices: dict[int, DeviceIdentity | None]) -> None:
        committed = [
            Committed(device, row.message)
            for row in group.rows
            if row.message.id and (device := devices[row.device_id]) is not None
        ]
        if not committed:
            return
        self._told(committed)
        for start in range(0, len(committed), _TOLD_MESSAGES):
            self._groups_told += 1
            body = encode_group(self.name, self._groups_told, committed[start : start + _TOLD_MESSAGES])
            await self._nats.tell(COMMITTED_SUBJECT, body)

    # -- what can be in the way

    async def _what_is_left(self, group: _Group) -> _Group:
        """The group without the parts that are another's now, or stored already: by a commit whose answer was lost."""
        ours: dict[int, Position] | None = None
        while ours is None:
            try:
                ours = await self._positions.share()
            except LogUnavailable as error:
                self._note_away(error)
                await asyncio.sleep(_RETRIES_S[-1])
        left = _Group()
        lost = set()
        for partition, reached in group.ends().items():
            stored = self._stored.get(partition)
            if partition in ours and ours[partition] == reached:
                self._stored[partition] = reached
            elif stored is None or ours.get(partition) != stored:
                lost.add(partition)
            else:
                for incoming in group.incoming:
                    if incoming.partition == partition:
                        left.add(incoming)
        await self._stop_reading(lost & self._readers.keys())
        return left

    async def _set_apart(self, group: _Group, reason: str) -> None:
        """Take what the database refuses out of the group, so that the rest can be stored. Raises LogUnavailable."""
        refused = {id(row) for row in await self._refused(group.rows)}
        for row in group.rows:
            if id(row) in refused:
                group.letters.append(_letter(row.incoming, row.device_id, reason, row.message.payload))
        group.rows = [row for row in group.rows if id(row) not in refused]

    async def _refused(self, rows: list[_Row]) -> list[_Row]:
        try:
            await self._append(rows, _take_back)
        except _WouldWork:
            return []
        except LogUnavailable as error:
            if not _is_about_the_data(error):
                raise
        if len(rows) == 1:
            return rows
        middle = len(rows) // 2
        return [*await self._refused(rows[:middle]), *await self._refused(rows[middle:])]

    def _note_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            logger.warning("telemetry waits in the stream, the database does not take it: %s", error)


def _is_about_the_data(error: LogUnavailable) -> bool:
    cause = error.__cause__
    if isinstance(cause, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
        return True
    # What the driver says of a value that it cannot send.
    return isinstance(cause, asyncpg.InterfaceError) and isinstance(cause, ValueError)


async def _take_back(_connection: Any) -> None:
    raise _WouldWork


def _letter(incoming: Incoming, device_id: int | None, reason: str, body: bytes) -> DeadLetter:
    return DeadLetter(incoming.partition, incoming.position.sequence, device_id, reason, body)
