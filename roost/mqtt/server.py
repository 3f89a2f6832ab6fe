"""The endpoint as a whole: listener, sweep, and the cutting of connections whose right has ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from roost.access.messages import DEACTIVATED, GRANTS_CHANGED
from roost.access.principals import UserPrincipal
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import AWAY
from roost.core.errors import RoostError, Unauthorized
from roost.core.rates import RateLimiter
from roost.core.settings import Settings
from roost.mqtt.authentication import Authentication
from roost.mqtt.connection import ENDED, LEAVING
from roost.mqtt.device_topics import DeviceTopics
from roost.mqtt.listening import BACKLOG, listening_port, open_sockets, raise_file_limit, tls_context
from roost.mqtt.ports import (
    Auditor,
    DeviceFeed,
    DeviceLog,
    Directory,
    Foreign,
    Identities,
    Intake,
    PresenceBook,
    Reports,
)
from roost.mqtt.publishing import Publisher
from roost.mqtt.reasons import Reason
from roost.mqtt.registry import Registry, owner_of
from roost.mqtt.session import Publishing, Session, Subscribing
from roost.mqtt.subscriptions import Subscriptions
from roost.telemetry.log import LogUnavailable

logger = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 0.5
RECHECK_INTERVAL_S = 30.0
ACK_PATIENCE_S = 3.0
CLOSE_PATIENCE_S = 1.0
_AUDITS_A_MINUTE = 10
# What a database that is away says; the client has been told, and there is nothing to look for in a traceback.
_AWAY = (*AWAY, LogUnavailable, RoostError)
_REVOKED = {
    "device.token_revoked": (Reason.NOT_AUTHORIZED, "The device's token was revoked."),
    "device.released": (Reason.NOT_AUTHORIZED, "The device was released by its owner."),
    "device.deleted": (Reason.NOT_AUTHORIZED, "The device was deleted."),
}
_CONNECTED_AGAIN = "The same client id connected again."
_SIGNED_OUT = "The user has signed out."
_REVOKED_API_TOKEN = "The API token was revoked."  # noqa: S105 - a sentence


class MqttServer:
    """MQTT for devices and for users who read. `start` listens; WebSockets come through `websocket.py`."""

    def __init__(
        self,
        settings: Settings,
        ingest: Intake,
        identities: Identities,
        *,
        presence: PresenceBook,
        device_logs: DeviceLog,
        bus: Bus,
        reports: Reports,
        directory: Directory,
        authenticate_user: Callable[[str], Awaitable[UserPrincipal]],
        clock: Clock,
        audit: Auditor,
        foreign: Foreign,
        feeds: Mapping[str, DeviceFeed] | None = None,
    ) -> None:
        """`feeds` say what a device hears first on its own topics, by their leaf such as `shadow/delta`.

        `foreign` takes what ThingsBoard's clients say beside telemetry.
        """
        self.intake = ingest
        self.audit = audit
        self.presence = presence
        self.authentication = Authentication.build(identities, authenticate_user, clock)
        audit_rate = RateLimiter(clock, per_minute=_AUDITS_A_MINUTE, burst=_AUDITS_A_MINUTE)
        self._publisher = Publisher(device_logs, reports, self.run, audit_rate=audit_rate, audit=audit, foreign=foreign)
        self.publishing: Publishing = self._publisher
        self._device_topics = DeviceTopics(feeds or {}, device_logs, self.run)
        self._subscriptions = Subscriptions(directory, self.run, audit, self._device_topics)
        self.subscribing: Subscribing = self._subscriptions
        self.registry = Registry()
        self.port = 0
        self.now_ms = clock.now_ms
        self._settings = settings
        self._directory = directory
        self._bus = bus
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: list[Callable[[], None]] = []
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._rechecking: asyncio.Task[None] | None = None
        self._entered: Callable[[tuple[str, int], str], None] | None = None

    @property
    def connections(self) -> int:
        """Clients that have been let in."""
        return len(self.registry)

    async def start(self, *, listen: bool = True) -> None:
        """Listens, unless only WebSockets are to come; then `port` is where another process is said to listen.

        Raises OSError when the port is taken and ssl.SSLError for an unusable certificate.
        """
        raise_file_limit()
        if listen:
            await self._listen()
        else:
            self.port = listening_port(self._settings)
        self._unsubscribe = [
            self.intake.subscribe(self._subscriptions.deliver),
            self._bus.subscribe("device.", self._on_device),
            self._bus.subscribe("session.revoked", self._on_sign_out),
            self._bus.subscribe(DEACTIVATED, self._on_sign_out),
            self._bus.subscribe(GRANTS_CHANGED, self._on_grants_changed),
            self._bus.subscribe("api_token.revoked", self._on_api_token_revoked),
        ]
        self._sweep()
        self._rechecking = self.run(self._recheck_users())

    async def _listen(self) -> None:
        tls = tls_context(self._settings)
        sockets = open_sockets(self._settings.host, listening_port(self._settings))
        loop = asyncio.get_running_loop()
        for one in sockets:
            self._servers.append(await loop.create_server(lambda: Session(self), sock=one, ssl=tls, backlog=BACKLOG))
        self.port = sockets[0].getsockname()[1]
        logger.info(
            "listening for MQTT", extra={"host": self._settings.host, "port": self.port, "tls": tls is not None}
        )

    async def stop(self) -> None:
        """Takes no more, answers what was taken, says why, and closes."""
        self._leaving = True
        for server in self._servers:
            server.close()
        for session in tuple(self.registry.open):
            if not session.stopped & ENDED:
                session.stop(LEAVING)
        await self._until(lambda: all(s.settled == s.submitted for s in self.registry.open), ACK_PATIENCE_S)
        for session in tuple(self.registry.open):
            session.end(Reason.SERVER_SHUTTING_DOWN, "The hub is going down; connect again in a moment.")
        await self._until(lambda: not self.registry.open, CLOSE_PATIENCE_S)
        for session in tuple(self.registry.open):
            session.wire.abort()
        await self._until(lambda: not self.registry.open, CLOSE_PATIENCE_S)
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        """What sessions still wait for may finish: cancelled in a transaction, it would keep SQLite locked."""
        if self._rechecking is not None:
            self._rechecking.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=ACK_PATIENCE_S)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool], patience_s: float) -> None:
        deadline = self._clock.monotonic() + patience_s
        while not condition() and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - once, at the very end
            await asyncio.sleep(0.01)

    # -- what sessions need

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that a session waits for, beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, _AWAY):
            logger.warning("an MQTT request has to wait for the database: %s", error)
        elif error is not None:
            logger.error("an MQTT request failed: %s", error, exc_info=error)

    def opened(self, session: Session) -> None:
        """A connection, of nobody yet."""
        session.heard_at = self._clock.monotonic()
        self.registry.open.add(session)
        if self._leaving:
            session.finish("The hub is going down.")

    def enter(self, session: Session) -> None:
        """A client that was let in. Raises SignInError when it has too many connections."""
        old = self.registry.enter(session)
        device = session.device
        if device is not None:
            self.presence.connected(device.device_id, "mqtt")
        if old is not None:
            old.end(Reason.SESSION_TAKEN_OVER, _CONNECTED_AGAIN)
        if self._entered is not None:
            self._entered(owner_of(session), session.client_id)

    def device_listens(self, device_id: int, leaf: str) -> bool:
        """Whether a connection of the device listens to the topic."""
        return self._device_topics.listens(device_id, leaf)

    def tell_device(self, device_id: int, leaf: str, payload: bytes) -> int:
        """Send something to the device on its own topic; answers how many of its connections it went to."""
        return self._device_topics.tell(device_id, leaf, payload)

    def share(self, entered: Callable[[tuple[str, int], str], None]) -> None:
        """Be one of several processes: tell `entered(owner, client id)` of every client that was let in."""
        self._entered = entered

    def entered_elsewhere(self, owner: tuple[str, int], client_id: str) -> int | None:
        """A client connected to another process, which takes over; returns the device whose connection ends here."""
        session = self.registry.find(owner, client_id)
        if session is None or session.stopped & ENDED:
            return None
        session.moved = True
        session.end(Reason.SESSION_TAKEN_OVER, _CONNECTED_AGAIN)
        return session.device.device_id if session.device is not None else None

    def closed(self, session: Session) -> None:
        """A connection is gone, whoever ended it."""
        self.registry.open.discard(session)
        if not session.accepted:
            return
        session.accepted = False
        self.registry.leave(session)
        self._subscriptions.forget(session)
        device = session.device
        if device is None or self._leaving or session.restarting:
            # Who is cut off by our own restart is not offline: the presence gives it time to come back.
            return
        outcome = session.outcome
        if session.will is not None:
            said = self._publisher.will(session, device, session.will)
            if said:
                outcome, session.cause = f"{outcome} Its will says: {said}", "will"
        if not session.moved:
            self.presence.disconnected(device.device_id, outcome, cause=session.cause)

    # -- connections whose right or time has ended

    def _on_device(self, subject: str, message: dict[str, Any]) -> None:
        if subject == "device.status_changed":
            self._subscriptions.deliver_status(message)
        elif subject == "device.updated":
            self._subscriptions.device_changed(message["device_id"])
            if self.registry.of_device(message["device_id"]):
                self.run(self._refresh(message["device_id"]))
        elif subject in _REVOKED:
            reason, detail = _REVOKED[subject]
            for session in self.registry.of_device(message["device_id"]):
                session.will = None
                session.end(reason, detail)

    async def _refresh(self, device_id: int) -> None:
        """The device was changed: subscribers are judged by the organization and home in which it is now."""
        try:
            identity = await self._directory.find(device_id)
        except _AWAY:
            # Where it belongs now is found out when it comes back; until then nobody must hear it in the wrong place.
            for session in self.registry.of_device(device_id):
                session.end(Reason.SERVER_BUSY, "The hub cannot look up the device at the moment; connect again.")
            raise
        if identity is not None:
            for session in self.registry.of_device(device_id):
                session.device = identity

    async def _recheck_users(self) -> None:
        """Tokens expire and grants change while connections stand."""
        while True:
            await asyncio.sleep(RECHECK_INTERVAL_S)
            for session in self.registry.users():
                try:
                    await self._recheck(session)
                except _AWAY as error:
                    logger.warning("a user's token could not be checked again: %s", error)

    async def _recheck(self, session: Session) -> None:
        """Look at the user's grants anew; whoever has none any more is sent away. Raises what a database says."""
        seen = -1
        while seen != session.changes:
            # They may change once more while they are read.
            seen = session.changes
            try:
                user = await self.authentication.authenticate_user(session.token)
            except Unauthorized as error:
                session.end(Reason.NOT_AUTHORIZED, error.detail)
                return
        session.user, session.looked, session.reaches = user, seen, None
        self._subscriptions.release(session)

    def _on_grants_changed(self, _subject: str, message: dict[str, Any]) -> None:
        for session in self.registry.of_user(message["user_id"]):
            session.changes += 1
            self.run(self._reconsider(session))

    async def _reconsider(self, session: Session) -> None:
        try:
            await self._recheck(session)
        except _AWAY:
            session.end(Reason.SERVER_BUSY, "The hub cannot check your rights at the moment; connect again.")
            raise

    def _on_sign_out(self, subject: str, message: dict[str, Any]) -> None:
        for session in self.registry.of_user(message["user_id"]):
            every = subject == DEACTIVATED
            if every or (session.user is not None and session.user.session_id == message["session_id"]):
                session.end(Reason.NOT_AUTHORIZED, _SIGNED_OUT)

    def _on_api_token_revoked(self, _subject: str, message: dict[str, Any]) -> None:
        for session in self.registry.of_user(message["user_id"]):
            if session.user is not None and session.user.api_token_id == message["api_token_id"]:
                session.end(Reason.NOT_AUTHORIZED, _REVOKED_API_TOKEN)

    def _sweep(self) -> None:
        """The one timer: who has been silent for too long, and who does not let go."""
        now = self._clock.monotonic()
        overdue: list[Session] = []
        for session in self.registry.open:
            if session.active:
                session.active = False
                # Whatever else it says, before its CONNECT it is silent.
                if session.accepted or session.stopped & ENDED:
                    session.heard_at = now
            if 0 < session.silence_limit_s < now - session.heard_at:
                overdue.append(session)
        for session in overdue:
            self._cut_silent(session)
        self._sweep_timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._sweep)

    def _cut_silent(self, session: Session) -> None:
        if session.stopped & ENDED:
            session.wire.abort()
        elif session.accepted:
            session.end(Reason.KEEP_ALIVE_TIMEOUT, "Nothing was heard from it within its keep-alive time.")
            # Whoever is silent sends nothing that could get in the way of the last words.
            session.wire.close()
        else:
            session.finish("No CONNECT came.")
