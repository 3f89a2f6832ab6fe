"""A right that ends while a socket is still opening: in this process, where that moment can be held."""

import asyncio
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from roost.access.authentication import UserAuthentication
from roost.access.principals import Grant, UserPrincipal
from roost.core.bus import Bus
from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.live.audit import SocketAudit
from roost.live.listeners import Listeners
from roost.live.rights import Rights
from roost.live.socket import LiveSocket
from tests.waiting import until

SCOPE = "telemetry:read"
USER = UserPrincipal(1, "a@example.org", "a", 11, (Grant("owner", 3),))


class FakeSocket:
    """A client that sends nothing and takes everything."""

    query_params = QueryParams({"token": "good"})

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {"subprotocols": []}
        self.sent: list[str] = []
        self.closed: tuple[int, str] | None = None

    async def accept(self, subprotocol: str | None = None) -> None: ...

    async def send_text(self, text: str) -> None:
        self.sent.append(text)

    async def receive(self) -> None:
        await asyncio.Event().wait()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


class FakeAuthentication:
    """Everybody is `USER`."""

    async def authenticate(self, token: str) -> UserPrincipal:
        return USER

    def ends_at_s(self, token: str) -> float:
        return 4e9


class FakeAudit:
    """Writes nothing down."""

    def opened(self, *_: object) -> None: ...

    def refused(self, *_: object) -> None: ...


async def test_who_signs_out_while_the_filters_are_looked_at_hears_nothing() -> None:
    bus, websocket, listeners = Bus(), FakeSocket(), Listeners()
    authentication = cast("UserAuthentication", FakeAuthentication())
    rights = Rights(cast("Database", None), authentication, SystemClock(), bus)
    looking, gate = asyncio.Event(), asyncio.Event()

    async def look(*_: object) -> None:
        looking.set()
        await gate.wait()

    rights.check_filters = look  # type: ignore[method-assign, assignment]
    socket = LiveSocket(cast("WebSocket", websocket), listeners, SCOPE, rights, cast("SocketAudit", FakeAudit()))
    serving = asyncio.create_task(socket.serve())
    await looking.wait()
    bus.publish("session.revoked", {"session_id": USER.session_id, "user_id": USER.user_id})
    gate.set()

    def is_over() -> bool:
        listeners.offer(7, 3, 4, lambda: "frame")
        return serving.done()

    await until(is_over)
    assert websocket.sent == []
    assert websocket.closed == (4401, "You have signed out.")
    rights.close()
