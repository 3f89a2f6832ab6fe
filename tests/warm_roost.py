"""`roost` in a fork of an interpreter that has imported it already: real processes, without seconds of imports.

All test processes share two of these interpreters, one of which counts the lines that its processes come through.

Some of `tests/cli/test_run.py`, `tests/packaging` and whatever is measured start the command as a person does.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from sqlalchemy.orm import configure_mappers

from tests.every_process.sitecustomize import COUNT_LINES_IN

_ROOT = Path(__file__).parent.parent
EVERY_PROCESS = Path(__file__).parent / "every_process"
_IMPORTED = (
    *("alembic.autogenerate", "alembic.config", "roost.app", "roost.cli", "roost.cli.run", "roost.migrations.tables"),
    # What the web server imports when it starts.
    *("uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl"),
    *("uvicorn.protocols.websockets.websockets_sansio_impl", "uvicorn.loops.auto", "encodings.idna"),
    *("anyio._backends._asyncio", "roost.cli.websockets", "urllib.request"),
    # What it imports with its first PostgreSQL, and with the first sealed block.
    *("asyncpg", "roost.telemetry.postgres_log", "roost.telemetry.blocks.codec", "roost.telemetry.analysis"),
)
# Where the commands begin.
_PROGRAMS = {"roost": "roost.cli", "alembic": "alembic.config"}
_PIECE_BYTES = 1 << 16


class Child:
    """A process made by the warm interpreter, with the part of `subprocess.Popen`'s face that tests look at."""

    def __init__(self, told: socket.socket, arguments: Sequence[str]) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self._told = told.makefile("r")
        self._socket = told
        self.pid = self._next_number()

    def poll(self) -> int | None:
        """The exit code, as `subprocess` counts it, or None while the process runs."""
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._next_number()
            self._told.close()
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)

    def _next_number(self) -> int:
        said = self._told.readline()
        assert said, "The warm interpreter is gone; nobody knows how this process ended."
        return int(said)


class WarmRoost:
    """One warm interpreter, started when the first process is asked of it, or before to be shared.

    Every request is a connection: the command goes there with its output's files, back come its pid and its exit code.
    """

    def __init__(self, *, counted: bool = False) -> None:
        self._counted = counted
        self._variable = "WARM_ROOST_COUNTED" if counted else "WARM_ROOST"
        self._folder: Path | None = None
        self._lifeline: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def share(self) -> None:
        """Start it for this process and for those that it starts from now on."""
        os.environ[self._variable] = str(self._address())

    def launch(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        out: int,
        err: int,
        program: str = "roost",
    ) -> Child:
        """Run `<program> <arguments>` there, with its output going to these file descriptors."""
        command = [program, *arguments]
        request = json.dumps({"command": command, "cwd": str(cwd), "environment": dict(environment)}).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._address()))
        sent = socket.send_fds(connection, [request], [out, err])
        connection.sendall(request[sent:])
        connection.shutdown(socket.SHUT_WR)
        return Child(connection, command)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        timeout_s: float,
        program: str = "roost",
    ) -> "subprocess.CompletedProcess[str]":
        """Run `<program> <arguments>` to its end and return how it went; raises subprocess.TimeoutExpired."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = self.launch(
                arguments, cwd=cwd, environment=environment, out=out.fileno(), err=err.fileno(), program=program
            )
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(child.args, code, out.read().decode(), err.read().decode())

    def stop(self) -> None:
        """End the interpreter, if this process has started it; what it made goes on."""
        if self._lifeline is None or self._process is None or self._folder is None:
            return
        self._lifeline.close()
        self._process.wait(timeout=10)
        shutil.rmtree(self._folder)
        self._lifeline = self._process = self._folder = None

    def _address(self) -> Path:
        if self._variable in os.environ:
            return Path(os.environ[self._variable])
        return (self._folder or self._start()) / "requests"

    def _start(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="roost-warm-"))
        self._lifeline, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": str(EVERY_PROCESS), "PYTHONWARNINGS": "default"}
        if not self._counted:
            environment.pop(COUNT_LINES_IN, None)
        with theirs, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._folder / "requests"))
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_roost", str(listener.fileno()), str(theirs.fileno())],
                cwd=_ROOT,
                pass_fds=[listener.fileno(), theirs.fileno()],
                # A library that keeps threads is of no use to forks.
                env={**environment, "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._folder


def _serve(listener: socket.socket, lifeline: socket.socket) -> list[str] | None:
    """Fork for every request; returns None when the test run has ended, and in each child what that child is to do."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    asking: dict[int, socket.socket] = {}
    while True:
        ready = select.select([listener.fileno(), lifeline.fileno(), bell], [], [])[0]
        if bell in ready:
            os.read(bell, 4096)
            _report(asking)
        if lifeline.fileno() in ready:
            return None
        if listener.fileno() not in ready:
            continue
        connection = listener.accept()[0]
        message, files, _, _ = socket.recv_fds(connection, _PIECE_BYTES, 2)
        while piece := connection.recv(_PIECE_BYTES):
            message += piece
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (listener, lifeline, connection, *asking.values()):
                other.close()
            os.close(bell)
            os.close(ringer)
            return _become(json.loads(message), files)
        for file in files:
            os.close(file)
        asking[pid] = connection
        _tell(connection, pid)


def _report(asking: dict[int, socket.socket]) -> None:
    """Tell whoever waits for a child how it ended."""
    for pid in list(asking):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with asking.pop(pid) as connection:
                _tell(connection, os.waitstatus_to_exitcode(status))


def _tell(connection: socket.socket, number: int) -> None:
    # A test that has ended waits for nobody.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(b"%d\n" % number)


def _become(request: dict[str, object], files: list[int]) -> list[str]:
    """Put on the folder, environment and output of the process that was asked for; returns its command."""
    out, err = files
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, out, err)):
        os.dup2(file, number)
    for file in (nothing, out, err):
        os.close(file)
    environment, command = request["environment"], request["command"]
    assert isinstance(environment, dict)
    assert isinstance(command, list)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(request["cwd"]))
    return [str(one) for one in command]


def _end(code: int) -> NoReturn:
    """End in order, but for taking apart all that was imported: a fork would have to copy it for that, page by page."""
    # As the interpreter itself begins its end: threads first, then exit handlers.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    # Whoever left something open hears of it.
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import, then fork on request until the other end of the lifeline is closed."""
    listener, lifeline = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    for name in _IMPORTED:
        importlib.import_module(name)
    # Every process would do that with its first statement.
    configure_mappers()
    # A fork that collects garbage would copy every page of what is shared.
    gc.collect()
    gc.freeze()
    with listener, lifeline:
        task = _serve(listener, lifeline)
    if task is None:
        # What was counted is what every process has come through, which each of them writes down.
        os._exit(0)
    sys.argv = task
    try:
        importlib.import_module(_PROGRAMS[sys.argv[0]]).main()
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _end(end.code or 0)
        raise
    _end(0)


warm_roost = WarmRoost()
counting_roost = WarmRoost(counted=True)
atexit.register(warm_roost.stop)
atexit.register(counting_roost.stop)

if __name__ == "__main__":
    main()
