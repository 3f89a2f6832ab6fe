"""One part of the stream, read in order and without a gap from where it is stored to."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from roost.core.nats import STREAM, Nats, NatsAway, batch_id_of, telemetry_subject
from roost.core.tasks import end
from roost.telemetry.stream_positions import Position

_ASKED_AT_ONCE = 64
_ASKED_BYTES = 4 * 1024 * 1024
_ASK_EXPIRES_S = 30
# Between two signs of life of a server that has nothing for us.
_HEARTBEAT_S = 1
_FORGOTTEN_AFTER_S = 60
_RETRY_S = 0.3
_SECOND_NS = 10**9

logger = logging.getLogger(__name__)


class Incoming(NamedTuple):
    """A batch from the stream, and where its part stands once it is stored."""

    partition: int
    position: Position
    body: bytes


class Gap(Exception):  # noqa: N818 - it reads as what it says
    """Something of the part is missing between two messages: it has to be asked for anew."""


class PartReader:
    """Hands the batches of one part to `take`, which waits while there is no room for more."""

    def __init__(
        self, client: Nats, partition: int, stored: Position, take: Callable[[Incoming], Awaitable[None]]
    ) -> None:
        self._nats = client
        self._partition = partition
        # What was handed over last.
        self._reached = stored
        self._take = take
        self._task = asyncio.create_task(self._run(), name=f"telemetry-part-{partition}")

    async def stop(self) -> None:
        await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                async with self._consumer() as (name, inbox):
                    await self._follow(name, inbox)
            except (NatsAway, Gap, TimeoutError, nats.errors.Error, OSError) as error:
                logger.debug("part %s is asked for anew: %s", self._partition, error)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                logger.exception("part %s of the stream cannot be read", self._partition)
                await asyncio.sleep(_RETRY_S * 10)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[tuple[str, Subscription]]:
        """A consumer of our own from behind what was reached, and where its messages arrive."""
        name = f"store-{self._partition}-{secrets.token_hex(6)}"
        subject = telemetry_subject(self._partition)
        config: dict[str, Any] = {
            "name": name,
            "filter_subject": subject,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _FORGOTTEN_AFTER_S * _SECOND_NS,
            **await self._start(),
        }
        request = {"stream_name": STREAM, "config": config}
        await self._nats.ask_stream(f"CONSUMER.CREATE.{STREAM}.{name}.{subject}", request)
        inbox = await self._nats.client.subscribe(self._nats.client.new_inbox())
        try:
            yield name, inbox
        finally:
            if self._nats.connected:
                await inbox.unsubscribe()

    async def _start(self) -> dict[str, Any]:
        """Behind the number that was reached, if the stream still knows it: it may have lost its end, or be new.

        Then numbers mean something else, and it goes on with what is younger.
        """
        reached = self._reached
        if reached.sequence == 0:
            return {"deliver_policy": "all"}
        if await self._nats.holds(reached.sequence, reached.batch_id):
            return {"deliver_policy": "by_start_sequence", "opt_start_seq": reached.sequence + 1}
        logger.warning("the stream is not the one that was there; part %s goes on by time", self._partition)
        return {"deliver_policy": "by_start_time", "opt_start_time": _rfc3339(reached.stored_ns + 1)}

    async def _follow(self, name: str, inbox: Subscription) -> None:
        expected, asked = 1, 0
        while True:
            if asked < _ASKED_AT_ONCE // 2:
                await self._ask(name, inbox, _ASKED_AT_ONCE)
                asked += _ASKED_AT_ONCE
            message = await inbox.next_msg(timeout=2.5 * _HEARTBEAT_S)
            if message.header is not None and "Status" in message.header:
                asked = _still_asked(message, asked)
                continue
            asked -= 1
            sequence, number, stored_ns = _place(message.reply)
            if number != expected:
                raise Gap(f"{number} came instead of {expected}")
            expected += 1
            position = Position(sequence, stored_ns, batch_id_of(message.header))
            await self._take(Incoming(self._partition, position, message.data))
            self._reached = position

    async def _ask(self, name: str, inbox: Subscription, count: int) -> None:
        largest = max(_ASKED_BYTES, 2 * self._nats.largest_payload)
        request = {
            "batch": count,
            "max_bytes": largest,
            "expires": _ASK_EXPIRES_S * _SECOND_NS,
            "idle_heartbeat": _HEARTBEAT_S * _SECOND_NS,
        }
        await self._nats.client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}", msgspec.json.encode(request), reply=inbox.subject
        )


def _still_asked(status: Msg, asked: int) -> int:
    """What is still to come of what was asked for, by what the server says instead of a message."""
    header = status.header or {}
    if header["Status"] == "100":
        return asked
    if header["Status"] not in {"408", "409"} or "Consumer Deleted" in header.get("Description", ""):
        raise Gap(header.get("Description", header["Status"]))
    # Another request may be open still, but asking twice does no harm: there are no acknowledgements.
    return 0


def _place(reply: str) -> tuple[int, int, int]:
    """A message's number in the stream, its number for this consumer, and its time (ns since 1970)."""
    fields = reply.split(".")
    if len(fields) > 9:  # with a domain and an account
        fields = fields[2:]
    return int(fields[5]), int(fields[6]), int(fields[7])


def _rfc3339(moment_ns: int) -> str:
    seconds, rest = divmod(moment_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
