"""One live socket, from its opening to its end.

open → filters and token → ready → frames, while the right to see them is checked again and again → close with a reason
"""

import asyncio
import contextlib
from collections.abc import Callable

from fastapi import WebSocket, WebSocketDisconnect

from roost.live.audit import SocketAudit
from roost.live.closings import BAD_FRAME, NOT_SIGNED_IN, TOO_LARGE, UNSUPPORTED, Closing
from roost.live.frames import AUTHENTICATED, MAX_INCOMING_CHARS, PING, PONG, READY, Incoming, parse_incoming
from roost.live.listeners import Listener, Listeners
from roost.live.requests import SUBPROTOCOL, Filters, offered_token, parse_filters
from roost.live.rights import Holder, Right, Rights

FIRST_TOKEN_TIMEOUT_S = 10.0
RECHECK_S = 30.0
PING_S = 20.0
CLOSE_TIMEOUT_S = 5.0
ANSWERS_WAITING = 16
# Sending to a socket that keeps up never yields by itself; others shall have their turn in between.
FRAMES_PER_TURN = 32


class LiveSocket:
    """Serves one WebSocket of one kind of frame."""

    def __init__(
        self, websocket: WebSocket, listeners: Listeners, scope: str, rights: Rights, audit: SocketAudit
    ) -> None:
        self._websocket = websocket
        self._listeners = listeners
        self._scope = scope
        self._rights = rights
        self._audit = audit
        self._filters = Filters()
        self._right: Right | None = None
        self._listener: Listener | None = None
        self._remove: Callable[[], None] | None = None
        self._answers: list[str] = []
        self._something_to_send = asyncio.Event()
        self._right_changed = asyncio.Event()
        self._dismissal: Closing | None = None
        # A refusal is what meets a token while the socket opens; later ones only end it.
        self._opening, self._token_came = True, False
        # The grants have changed: nothing is sent until they have been looked at.
        self._in_doubt = False

    async def serve(self) -> None:
        """Serve until either side ends it."""
        wants_subprotocol = SUBPROTOCOL in self._websocket.scope["subprotocols"]
        await self._websocket.accept(subprotocol=SUBPROTOCOL if wants_subprotocol else None)
        try:
            right = await self._open()
            self._right = right
            self._audit.opened(self._websocket, right.principal)
            with self._rights.holding(Holder(self._current_right, self.dismiss, self.reconsider)):
                await self._rights.check_filters(right.principal, self._scope, self._filters)
                self._opening = False
                await self._converse(right)
        except Closing as closing:
            if self._opening and self._token_came:
                principal = self._right.principal if self._right else closing.principal
                self._audit.refused(self._websocket, principal, closing)
            await self._close(closing)
        except WebSocketDisconnect:
            return
        finally:
            self._stop_listening()

    def dismiss(self, closing: Closing) -> None:
        """End this socket at once; nothing that waits is sent any more."""
        self._stop_listening()
        self._dismissal = closing
        self._right_changed.set()

    def reconsider(self) -> None:
        """Send nothing more until today's grants have been looked at."""
        self._in_doubt = True
        if self._listener is not None:
            self._listener.hold()
        self._right_changed.set()

    async def _open(self) -> Right:
        query = self._websocket.query_params
        self._filters = parse_filters(query)
        token = offered_token(query, self._websocket.scope["subprotocols"])
        if token is None:
            token = await self._first_token()
        self._token_came = True
        return await self._rights.establish(token, self._scope)

    async def _first_token(self) -> str:
        with self._rights.waiting_for_token():
            try:
                async with asyncio.timeout(FIRST_TOKEN_TIMEOUT_S):
                    frame = await self._receive()
            except TimeoutError:
                raise Closing(NOT_SIGNED_IN, "No authenticate frame came in time.") from None
        if frame.type != "authenticate" or not frame.token:
            raise Closing(NOT_SIGNED_IN, 'The first frame is {"type":"authenticate","token":"…"}.')
        return frame.token

    async def _converse(self, right: Right) -> None:
        if self._dismissal is not None:
            # While the filters were looked at.
            raise self._dismissal
        self._listen(right)
        tasks = [asyncio.create_task(part(), name="live-socket") for part in (self._write, self._read, self._guard)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop_listening()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _current_right(self) -> Right:
        if self._right is None:
            raise RuntimeError("This socket has not been opened yet.")
        return self._right

    def _listen(self, right: Right) -> None:
        if self._listener is None:
            self._listener = Listener(
                right.principal,
                self._scope,
                self._something_to_send.set,
                home_id=self._filters.home_id,
                device_id=self._filters.device_id,
            )
        elif self._remove is not None:
            self._remove()
        self._right = right
        self._listener.principal = right.principal
        if self._in_doubt:
            self._listener.hold()
        self._remove = self._listeners.add(self._listener)

    def _stop_listening(self) -> None:
        if self._remove is not None:
            self._remove()
            self._remove = None
        if self._listener is not None:
            self._listener.clear()

    async def _write(self) -> None:
        await self._websocket.send_text(READY)
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    await self._something_to_send.wait()
            except TimeoutError:
                await self._websocket.send_text(PING)
                continue
            self._something_to_send.clear()
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        sent = 0
        while (frame := self._next_frame()) is not None:
            await self._websocket.send_text(frame)
            sent += 1
            if sent % FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _next_frame(self) -> str | None:
        if self._listener is not None and self._listener.held:
            # A pong says as well that whatever changed before the ping has been considered.
            return None
        if self._answers:
            return self._answers.pop(0)
        return self._listener.take() if self._listener is not None else None

    def _answer(self, frame: str) -> None:
        # Whoever asks without reading the answers gets no more of them.
        if len(self._answers) < ANSWERS_WAITING:
            self._answers.append(frame)
            self._something_to_send.set()

    async def _read(self) -> None:
        while True:
            frame = await self._receive()
            if frame.type == "ping":
                self._answer(PONG)
            elif frame.type == "authenticate" and frame.token:
                await self._renew(frame.token)
            elif frame.type != "pong":
                raise Closing(BAD_FRAME, "This socket takes authenticate, ping and pong.")

    async def _receive(self) -> Incoming:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text = message.get("text")
        if text is None:
            raise Closing(UNSUPPORTED, "Frames are JSON text.")
        if len(text) > MAX_INCOMING_CHARS:
            raise Closing(TOO_LARGE, f"A frame may have {MAX_INCOMING_CHARS} characters.")
        try:
            return parse_incoming(text)
        except ValueError as error:
            raise Closing(BAD_FRAME, str(error)) from error

    async def _renew(self, token: str) -> None:
        self._listen(await self._rights.renew(self._current_right(), token, self._scope))
        self._right_changed.set()
        self._answer(AUTHENTICATED)

    async def _guard(self) -> None:
        """Raises Closing when the right to listen has ended."""
        while True:
            if self._dismissal is not None:
                raise self._dismissal
            if self._in_doubt:
                await self._reconsidered()
            right = self._current_right()
            left_s = self._rights.seconds_left(right)
            if left_s <= 0:
                raise Closing(NOT_SIGNED_IN, "The access token has expired; sign in again or refresh it.")
            try:
                async with asyncio.timeout(min(left_s, RECHECK_S)):
                    await self._right_changed.wait()
                self._right_changed.clear()
            except TimeoutError:
                await self._refresh(right)

    async def _reconsidered(self) -> None:
        """Go on listening as far as today's grants allow. Raises Closing."""
        # They may change once more while they are read.
        while self._in_doubt:
            self._in_doubt = False
            right = self._current_right()
            checked = await self._rights.recheck(right, self._scope, self._filters)
            if self._right is not right:
                self._in_doubt = True
            elif self._dismissal is None:
                self._listen(checked)

    async def _refresh(self, right: Right) -> None:
        checked = await self._rights.refresh(right, self._scope)
        # A new token may have come while the old one was looked at.
        if self._right is right and self._dismissal is None:
            self._listen(checked)

    async def _close(self, closing: Closing) -> None:
        # A reader that takes nothing does not take the farewell either.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.close(closing.code, closing.reason)
