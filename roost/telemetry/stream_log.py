"""The log as a stream in NATS, in front of the store in PostgreSQL: safe at once, visible as soon as it is stored."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from roost.core.nats import Nats, NatsAway, partition_of, telemetry_subject
from roost.telemetry.log import CoarseRow, LogUnavailable, MessageFilter, Row
from roost.telemetry.messages import Message
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.stream_format import encode_batch

if TYPE_CHECKING:
    from roost.telemetry.frames import Frame, Summary

# For the subject, the batch's id and what the protocol adds.
_HEADROOM_BYTES = 1024


class StreamLog:
    """See `roost.telemetry.log.Log`, but messages get no id here: they have none before a store writer stores them.

    Reads see what is stored.
    """

    def __init__(self, client: Nats, store: PostgresLog, *, replicas: int, largest_mib: int) -> None:
        self._nats = client
        self._replicas = replicas
        self._largest_mib = largest_mib
        self.store = store

    async def open(self) -> None:
        await self.store.open()
        try:
            await self._nats.ensure_stream(replicas=self._replicas, largest_mib=self._largest_mib)
        except NatsAway as error:
            raise LogUnavailable(str(error)) from error

    async def close(self) -> None:
        await self.store.close()

    async def append(self, device_ids: Sequence[int], messages: Sequence[Message]) -> None:
        parts: dict[int, tuple[list[int], list[Message]]] = {}
        for device_id, message in zip(device_ids, messages, strict=True):
            ids, rows = parts.setdefault(partition_of(device_id), ([], []))
            ids.append(device_id)
            rows.append(message)
        # All of them to the end: a part that is safe although another failed only means that devices send it again.
        outcomes = await asyncio.gather(
            *(self._append_part(partition, *part) for partition, part in parts.items()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, NatsAway):
                raise LogUnavailable(str(outcome)) from outcome
            if outcome is not None:
                raise outcome

    async def _append_part(self, partition: int, device_ids: list[int], messages: list[Message]) -> None:
        body = encode_batch(device_ids, messages)
        if len(body) + _HEADROOM_BYTES > self._nats.largest_payload and len(messages) > 1:
            middle = len(messages) // 2
            await self._append_part(partition, device_ids[:middle], messages[:middle])
            await self._append_part(partition, device_ids[middle:], messages[middle:])
            return
        await self._nats.append(telemetry_subject(partition), body, uuid.uuid4().hex)

    async def recent(self, device_ids: Sequence[int], limit: int, wanted: MessageFilter) -> list[Row]:
        return await self.store.recent(device_ids, limit, wanted)

    async def between(self, device_id: int, since: int, until: int, limit: int) -> list[Row]:
        return await self.store.between(device_id, since, until, limit)

    def pieces(
        self,
        device_id: int,
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncIterator[Frame | Summary]":
        return self.store.pieces(device_id, since, until, keys=keys, whole=whole)

    def batches(
        self,
        device_ids: Sequence[int],
        since: int,
        until: int,
        *,
        keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> "AsyncGenerator[list[Frame | Summary], None]":
        return self.store.batches(device_ids, since, until, keys=keys, whole=whole)

    async def coarse(self, device_id: int, since: int, until: int, limit: int) -> list[CoarseRow]:
        return await self.store.coarse(device_id, since, until, limit)

    async def find(self, message_id: int) -> Row | None:
        return await self.store.find(message_id)

    async def delete_device(self, device_id: int) -> None:
        await self.store.delete_device(device_id)

    async def prune(self, before: int) -> int:
        return await self.store.prune(before)

    async def size(self) -> tuple[int, int]:
        return await self.store.size()
