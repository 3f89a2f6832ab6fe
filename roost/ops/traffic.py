"""How much the hub has to do: requests in the last minute and what is open at the moment."""

from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

from roost.core.clock import Clock

WINDOW_S = 60


class Traffic:
    """Counts requests by the second, for the last minute, and those that are open now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: deque[tuple[int, int]] = deque()
        self._second = 0
        self._count = 0
        self.open = 0

    def begin(self) -> None:
        """A request or socket begins."""
        self.open += 1
        second = int(self._clock.monotonic())
        if second != self._second:
            self._turn(second)
        self._count += 1

    def end(self) -> None:
        """It has ended."""
        self.open -= 1

    @property
    def requests_per_minute(self) -> int:
        """Requests begun in the last 60 s."""
        self._turn(int(self._clock.monotonic()))
        return sum(count for _, count in self._seconds) + self._count

    def _turn(self, second: int) -> None:
        if self._count:
            self._seconds.append((self._second, self._count))
        self._second, self._count = second, 0
        while self._seconds and self._seconds[0][0] <= second - WINDOW_S:
            self._seconds.popleft()


class TrafficCounter:
    """ASGI middleware that tells a `Traffic` of every request and WebSocket."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._traffic.begin()
        try:
            await self._app(scope, receive, send)
        finally:
            self._traffic.end()
