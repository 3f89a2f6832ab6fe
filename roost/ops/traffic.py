"""How much the hub has to do: requests in the last minute, what is open at the moment, how requests ended."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost.core.clock import Clock
from roost.ops.counting import PerSecond

WINDOW_S = 60


class Traffic:
    """Counts requests by the second, for the last minute, those that are open now, and answers by their class."""

    def __init__(self, clock: Clock) -> None:
        self._begun = PerSecond(clock, WINDOW_S)
        self.open = 0
        # "2xx", "4xx" …: counted since the process started.
        self.answers: dict[str, int] = {}

    def begin(self) -> None:
        """A request or socket begins."""
        self.open += 1
        self._begun.add()

    def answered(self, status: int) -> None:
        """A request is answered with this status."""
        kind = f"{status // 100}xx"
        self.answers[kind] = self.answers.get(kind, 0) + 1

    def end(self) -> None:
        """It has ended."""
        self.open -= 1

    @property
    def requests_per_minute(self) -> int:
        """Requests begun in the last 60 s."""
        return self._begun.total()


class TrafficCounter:
    """ASGI middleware that tells a `Traffic` of every request and WebSocket."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        traffic = self._traffic

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                traffic.answered(message["status"])
            await send(message)

        traffic.begin()
        try:
            await self._app(scope, receive, counting if scope["type"] == "http" else send)
        finally:
            traffic.end()
