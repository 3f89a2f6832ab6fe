"""`roost run`: check everything that can be wrong before starting, say it in one sentence, then serve."""

import asyncio
import contextlib
import ctypes
import gc
import importlib
import inspect
import os
import socket
import ssl
import types
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer
import uvicorn
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from roost.access.credentials.keys import signing_secret
from roost.core import logging as logs
from roost.core.database import sqlite_path
from roost.core.settings import Settings
from roost.migrations.runner import SchemaStatus, SchemaTooNew, migrate_at_start, read_status, refuse_unknown
from roost.mqtt.connection import PACKET_LIMIT_BYTES
from roost.mqtt.listening import listening_port, open_sockets, tls_context
from roost.parts import Part
from roost.telemetry.sqlite_log import in_use

_GRACE_S = 5
_M_ARENA_MAX = -8  # of glibc's mallopt; other C libraries have no such function or ignore it
_BACKLOG = 2048
# MQTT over WebSocket sends packets of at most this size; the live feed receives next to nothing.
_LARGEST_FRAME_BYTES = PACKET_LIMIT_BYTES + 16

T = TypeVar("T")


class CannotStart(Exception):  # noqa: N818 - it reads as what it says
    """Why the hub does not start, as one sentence."""


def run(**flags: Any) -> None:
    """Run the hub until Ctrl-C or SIGTERM.

    Ends with 0 when it was stopped in order, 2 when it cannot start, 3 when its start failed halfway, 1 otherwise.
    """
    serve(Part.EVERYTHING, flags)


def serve(part: Part, flags: dict[str, Any]) -> None:
    """Do this part of the work until Ctrl-C or SIGTERM; ends as `run` does."""
    sockets: list[socket.socket] = []
    try:
        settings = read_settings({name: value for name, value in flags.items() if value is not None})
        sockets = _checked(settings, part)
        migration = _begin_migration(settings)
    except CannotStart as reason:
        for one in sockets:
            one.close()
        typer.echo(f"roost: {reason}", err=True)
        raise typer.Exit(2) from None
    create_app = _load_application()
    if migration is not None:
        os.waitpid(migration, 0)
    logs.configure(settings.effective_log_level)
    _keep_one_heap()
    server = _Server(settings, create_app(settings, part=part))
    try:
        server.run(sockets=sockets)
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
    if not server.started:
        raise typer.Exit(3)
    if not server.stopped_in_order:
        raise typer.Exit(1)


def _load_application() -> Callable[..., Any]:
    """`create_app`. Its import takes as long as the migrations of a first start, which go on beside it."""
    # As in `roost.cli.main`: the collector would walk over what stays anyway.
    gc.disable()
    create_app: Callable[..., Any] = importlib.import_module("roost.app").create_app
    gc.freeze()
    gc.enable()
    return create_app


def _keep_one_heap() -> None:
    """One heap for all threads: glibc gives each its own, and keeps there what a burst left behind (15 MB)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def read_settings(flags: dict[str, Any]) -> Settings:
    """The settings with these flags on top. Raises CannotStart for a bad value."""
    try:
        return Settings(**flags)
    except ValidationError as error:
        first = error.errors()[0]
        # The value itself stays out of the sentence: it may be a password.
        name = "_".join(str(part) for part in first["loc"][:1]) or "the settings"
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise CannotStart(f"{_flag_of(name)} cannot be used: {message[:1].lower()}{message[1:]}.") from None


class _Server(uvicorn.Server):
    def __init__(self, settings: Settings, application: Any) -> None:
        self._settings = settings
        self._application = application
        self.stopped_in_order = False
        self._signalled: Callable[[], object] | None = None
        super().__init__(
            uvicorn.Config(
                application,
                host=settings.host,
                port=settings.port,
                http="httptools",
                ws="roost.cli.websockets:WebSockets",
                ws_max_size=_LARGEST_FRAME_BYTES,
                # Compressing every frame for every reader would cost more than all the rest of the fan-out.
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
            )
        )

    async def main_loop(self) -> None:
        """Waits for a signal, and wakes once a second for the date header: uvicorn's own looks ten times a second."""
        loop, signalled = asyncio.get_running_loop(), asyncio.Event()
        self._signalled = lambda: loop.call_soon_threadsafe(signalled.set)
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await signalled.wait()

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._signalled is not None:
            self._signalled()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Devices that wait for work would be waited for, and cut off in the end.
        self._application.state.tasks.arrivals.close()
        await super().shutdown(sockets)
        self.stopped_in_order = not self.force_exit and not self.lifespan.should_exit
        # The server would now raise the signal again, and whoever started the hub (a supervisor, a script) would take
        # an orderly end for a failure.
        self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        # What was made so far lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        scheme = "https" if self._settings.tls else "http"
        port = sockets[0].getsockname()[1]
        typer.echo(f"Roost is ready: {scheme}://{_shown_host(self._settings.host)}:{port}/")


def _shown_host(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _checked(settings: Settings, part: Part) -> list[socket.socket]:
    """The listening sockets for HTTP, after every other check. Raises CannotStart."""
    if part != Part.EVERYTHING and settings.nats_url is None:
        raise CannotStart("several processes need NATS_URL to share the work; `roost run` does everything in one.")
    _check_folder(settings)
    _check_certificate(settings)
    _check_secret(settings)
    sockets = _listen(settings.host, settings.port, "HTTP", "--port")
    try:
        if part & Part.MQTT:
            for probe in _listen(settings.host, listening_port(settings), "MQTT", "--mqtt-port"):
                probe.close()
        _check_alone(settings)
        if settings.nats_url is not None:
            asyncio.run(_check_nats(settings, settings.nats_url))
    except CannotStart:
        for one in sockets:
            one.close()
        raise
    return sockets


def _check_folder(settings: Settings) -> None:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
        database = sqlite_path(settings.database_url)
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"the data folder {folder} cannot be written ({error.strerror}); choose another with --data-dir."
        ) from None


def _check_alone(settings: Settings) -> None:
    if sqlite_path(settings.database_url) is not None and in_use(settings.data_dir / "telemetry"):
        raise CannotStart(
            f"another hub is already using the data folder {settings.data_dir}; stop it, or choose another with "
            "--data-dir."
        )


def _check_certificate(settings: Settings) -> None:
    try:
        tls_context(settings)
    except ssl.SSLError as error:
        reason = error.reason or "not PEM files that belong together"
        raise CannotStart(f"the certificate {settings.tls_cert} and its key cannot be used ({reason}).") from None
    except OSError as error:
        name = error.filename or f"{settings.tls_cert} or {settings.tls_key}"
        raise CannotStart(f"the certificate or its key cannot be read: {name} ({error.strerror}).") from None


def _check_secret(settings: Settings) -> None:
    try:
        signing_secret(settings)
    except OSError as error:
        raise CannotStart(f"the signing key cannot be kept in {settings.data_dir} ({error.strerror}).") from None


def _listen(host: str, port: int, what: str, flag: str) -> list[socket.socket]:
    try:
        sockets = open_sockets(host, port)
        for one in sockets:
            one.listen(_BACKLOG)
    except socket.gaierror:
        raise CannotStart(f"the address {host} is not known here; choose another with --host.") from None
    except OSError as error:
        raise CannotStart(
            f"port {port} for {what} cannot be opened on {host} ({error.strerror}); choose another with {flag}."
        ) from None
    return sockets


async def _check_database(settings: Settings) -> SchemaStatus:
    async def known_status() -> SchemaStatus:
        status = await read_status(settings)
        refuse_unknown(status)
        return status

    return await reach(known_status)


async def _check_nats(settings: Settings, url: str) -> None:
    nats: Any = importlib.import_module("roost.core.nats")
    client = nats.Nats(url, "roost start")
    try:
        await client.connect()
        await client.check_streams()
        await client.ensure_stream(replicas=settings.nats_replicas, largest_mib=settings.nats_stream_mib)
    except nats.NatsAway as error:
        raise CannotStart(f"NATS cannot be used ({error}); check --nats-url.") from None
    finally:
        await client.close()


def _begin_migration(settings: Settings) -> int | None:
    """Migrate in a process of its own; returns its id, None when the database is current. Raises CannotStart.

    The migration tool would stay in the hub's memory (10 MB) as long as it runs. If it fails the hub tries it once
    more itself, and says why it cannot.
    """
    if asyncio.run(_check_database(settings)).is_current:
        return None
    child = os.fork()
    if child == 0:
        outcome = 1
        try:
            asyncio.run(migrate_at_start(settings))
            outcome = 0
        finally:
            os._exit(outcome)
    return child


async def reach(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns; raises CannotStart when the database is not there, or not usable."""
    try:
        return await work()
    except SchemaTooNew as error:
        raise CannotStart(str(error)) from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
        raise CannotStart(f"the database cannot be used ({reason[0]}); check --database-url.") from None
    except Exception as error:
        # asyncpg's own errors (a wrong password, an unknown database) and Alembic's arrive as they are.
        source = type(error).__module__.partition(".")[0]
        if source == "asyncpg":
            raise CannotStart(f"the database cannot be used ({error}); check --database-url.") from None
        if source == "alembic":
            raise CannotStart(f"the database cannot be migrated: {str(error).rstrip('.')}.") from None
        raise


def _flag_of(name: str) -> str:
    return "--" + name.lower().removeprefix("roost_").replace("_", "-")


def _flags() -> inspect.Signature:
    # Every setting is a flag. All values stay text here: the settings object checks them, as it does the environment.
    parameters = []
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        kind: Any = str
        if _is_flag(field.annotation):
            kind, flag = bool, f"{flag}/--no-{flag[2:]}"
        annotation = Annotated[kind | None, typer.Option(flag, help=field.description, show_default=False)]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return inspect.Signature(parameters, return_annotation=None)


def _is_flag(annotation: Any) -> bool:
    inner = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)
    return bool in inner


def with_flags(command: Callable[..., None]) -> None:
    """Give a command every setting as a flag."""
    signature = _flags()
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}


with_flags(run)
