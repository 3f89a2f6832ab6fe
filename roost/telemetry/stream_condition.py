"""How the log is doing where it is a stream in front of the store."""

from roost.core.nats import STREAM, Nats, NatsAway
from roost.telemetry.condition import LogCondition
from roost.telemetry.log import LogUnavailable


class StreamCondition:
    """The stream takes messages, the store behind it takes up the room."""

    def __init__(self, client: Nats, store: LogCondition) -> None:
        self._nats = client
        self._store = store

    async def size_bytes(self) -> int:
        return await self._store.size_bytes()

    async def prove_writable(self) -> None:
        # What its leader says: a copy without one would not answer.
        try:
            await self._nats.ask_stream(f"STREAM.INFO.{STREAM}", {})
        except NatsAway as error:
            raise LogUnavailable(str(error)) from error
