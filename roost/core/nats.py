"""The connection to NATS and the names of everything that goes over it. Loaded only where `NATS_URL` is set."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

PARTITIONS = 8
"""Into so many parts devices fall; as many store writers can work at once. Each part is stored in order."""

STREAM = "ROOST_TELEMETRY"
OUTBOX_SUBJECT = "roost.outbox"
COMMITTED_SUBJECT = "roost.committed"
RATES_SUBJECT = "roost.rates"
LIMITS_SUBJECT = "roost.limits"
ENTERED_SUBJECT = "roost.entered"
CONNECTED_SUBJECT = "roost.connected"

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 5.0
_RECONNECT_WAIT_S = 0.25
_PING_INTERVAL_S = 5
_UNSENT_BYTES = 8 * 1024 * 1024
_MIB = 1024 * 1024
_STREAM_PATIENCE_S = 10.0
_STREAM_RETRY_S = 0.3
_SILENT_S = 10.0
_BATCH_ID = "Nats-Msg-Id"

Handler = Callable[[Msg], Awaitable[None]]

_log = logging.getLogger(__name__)


class NatsAway(OSError):  # noqa: N818 - it reads as what it says
    """NATS is not there, or did not do what it was asked in time; whether it did it is not known."""


def partition_of(device_id: int) -> int:
    """Which part a device belongs to."""
    return device_id % PARTITIONS


def telemetry_subject(partition: int) -> str:
    """Where the messages of a part go."""
    return f"roost.telemetry.{partition}"


def server_urls(setting: str) -> list[str]:
    """The servers of `NATS_URL`."""
    return [server.strip() for server in setting.split(",")]


def batch_id_of(headers: dict[str, str] | None) -> str:
    """The id with which a message was put into the stream; empty when it came without."""
    return (headers or {}).get(_BATCH_ID, "")


class Nats:
    """One connection, which mends itself. Every method but `connect` may be called while NATS is away."""

    def __init__(self, url: str, name: str) -> None:
        self.client = Client()
        # JetStream, with the usual time to answer.
        self.stream: JetStreamContext = self.client.jetstream(timeout=ANSWER_TIMEOUT_S)
        # Answers to appends arrive here: the client's own way would wait for them even when the connection is gone.
        self._answer_inbox = self.client.new_inbox()
        self._append_numbers = itertools.count()
        self._appending: dict[str, asyncio.Future[None]] = {}
        self._url = url
        self._name = name
        self._closing = False
        self._silent_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self._reconnected: list[Callable[[], None]] = []

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call back whenever the connection is there again: something may have been missed."""
        self._reconnected.append(callback)

    async def connect(self) -> None:
        """Raises NatsAway when no server answers now."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.client.connect(
                    servers=server_urls(self._url),
                    name=self._name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type] # any number will do
                    ping_interval=_PING_INTERVAL_S,
                    pending_size=_UNSENT_BYTES,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_reconnected,
                )
                await self.client.subscribe(f"{self._answer_inbox}.*", cb=self._on_answer)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await self.client.close()
            raise NatsAway(str(error) or "no answer") from error

    async def close(self) -> None:
        """Send what is not sent yet and close."""
        self._closing = True
        if self.connected:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await self.client.flush(timeout=2)
        await self.client.close()

    @property
    def connected(self) -> bool:
        """Whether a server is there at the moment."""
        return self.client.is_connected

    @property
    def largest_payload(self) -> int:
        """Bytes that a message may have."""
        return self.client.max_payload

    async def tell(self, subject: str, payload: bytes) -> None:
        """Publish to whoever listens now; lost while NATS is away."""
        if not self.connected:
            return
        with contextlib.suppress(nats.errors.Error, OSError):
            await self.client.publish(subject, payload)

    def tell_soon(self, subject: str, payload: bytes) -> None:
        """The same from where nothing can be waited for."""
        telling = asyncio.get_running_loop().create_task(self.tell(subject, payload))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def listen(self, subject: str, handler: Handler) -> None:
        """Call `handler` with every message, one after the other, until the end."""
        await self.client.subscribe(subject, cb=handler)

    async def ask_all(self, subject: str, payload: bytes, on_answer: Handler, within_s: float) -> None:
        """Publish, and hand over the answers that arrive within this time; none while NATS is away."""
        with contextlib.suppress(nats.errors.Error, OSError):
            inbox = self.client.new_inbox()
            answers = await self.client.subscribe(inbox, cb=on_answer)
            try:
                await self.client.publish(subject, payload, reply=inbox)
                await asyncio.sleep(within_s)
            finally:
                await answers.unsubscribe()

    async def append(self, subject: str, payload: bytes, batch_id: str) -> None:
        """Put a message into the stream and return when it is safe there; the same `batch_id` again changes nothing.

        Raises NatsAway, also when the stream is full.
        """
        if not self.connected:
            raise NatsAway("NATS is away")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reply = f"{self._answer_inbox}.{next(self._append_numbers)}"
        self._appending[reply] = answer
        try:
            async with _answers():
                await self.client.publish(subject, payload, reply=reply, headers={_BATCH_ID: batch_id})
                await asyncio.wait_for(answer, ANSWER_TIMEOUT_S)
        finally:
            del self._appending[reply]

    async def check_streams(self) -> None:
        """Raises NatsAway when this server keeps no streams."""
        try:
            await self.ask_stream("INFO", {})
        except NatsAway:
            raise NatsAway("JetStream is not enabled there") from None

    async def ensure_stream(self, *, replicas: int, largest_mib: int) -> None:
        """Create the stream of telemetry, or give it these limits.

        Waits while the servers of a cluster have not agreed yet on who leads. Raises NatsAway.
        """
        deadline = time.monotonic() + _STREAM_PATIENCE_S
        while True:
            try:
                await self._ensure_stream(replicas, largest_mib)
            except NatsAway:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_STREAM_RETRY_S)
            else:
                return

    async def _ensure_stream(self, replicas: int, largest_mib: int) -> None:
        config = StreamConfig(
            name=STREAM,
            subjects=[telemetry_subject_of_all()],
            storage=StorageType.FILE,
            num_replicas=replicas,
            max_bytes=largest_mib * _MIB,
            # Nothing that is not stored yet may make room for something new.
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        )
        async with _answers():
            try:
                await self.stream.add_stream(config)
            except nats.js.errors.BadRequestError:
                await self.stream.update_stream(config)

    async def holds(self, sequence: int, batch_id: str) -> bool:
        """Whether the stream has that batch at that place. Raises NatsAway."""
        async with _answers():
            try:
                found = await self.stream.get_msg(STREAM, sequence)
            except nats.js.errors.NotFoundError:
                return False
        return batch_id_of(found.headers) == batch_id

    async def purge(self, partition: int, before: int) -> None:
        """Forget what this part has stored before this sequence number. Raises NatsAway."""
        async with _answers():
            await self.stream.purge_stream(STREAM, subject=telemetry_subject(partition), seq=before)

    async def ask_stream(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """An answer of JetStream's own interface. Raises NatsAway."""
        async with _answers():
            answer = await self.client.request(f"$JS.API.{verb}", msgspec.json.encode(body), timeout=ANSWER_TIMEOUT_S)
        decoded: dict[str, Any] = msgspec.json.decode(answer.data)
        if "error" in decoded:
            raise NatsAway(str(decoded["error"].get("description", decoded["error"])))
        return decoded

    async def _on_answer(self, message: Msg) -> None:
        answer = self._appending.get(message.subject)
        if answer is None or answer.done():
            return
        refusal = _refusal(message)
        if refusal is None:
            answer.set_result(None)
        else:
            answer.set_exception(NatsAway(refusal))

    async def _on_error(self, error: Exception) -> None:
        # A line, and no traceback: the connection mends itself, and who waits for an answer hears of it.
        if isinstance(error, OSError | TimeoutError | nats.errors.StaleConnectionError):
            return
        # A listener that is too slow is told so with every message that it misses.
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _SILENT_S
            _log.warning("NATS: %s", str(error) or type(error).__name__)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _log.warning("the connection to NATS is gone")
        for answer in self._appending.values():
            if not answer.done():
                answer.set_exception(NatsAway("the connection to NATS is gone"))

    async def _on_reconnected(self) -> None:
        _log.info("connected to NATS again")
        for callback in self._reconnected:
            callback()


def _refusal(message: Msg) -> str | None:
    """What JetStream says instead of an acknowledgement."""
    if message.header is not None and "Status" in message.header:
        return "the stream has no leader at the moment"
    error = msgspec.json.decode(message.data).get("error")
    return str(error.get("description", error)) if error else None


def telemetry_subject_of_all() -> str:
    """Where the messages of all parts go."""
    return "roost.telemetry.*"


@contextlib.asynccontextmanager
async def _answers() -> AsyncIterator[None]:
    try:
        yield
    except NatsAway:
        raise
    except (nats.errors.Error, OSError, TimeoutError, asyncio.InvalidStateError) as error:
        raise NatsAway(str(error) or type(error).__name__) from error
