"""`roost` in a fork of an interpreter that has imported it already: real processes, without seconds of imports.

Some of `tests/cli/test_run.py`, `tests/packaging` and whatever is measured start the command as a person does.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.every_process.sitecustomize import COUNT_LINES_IN

_ROOT = Path(__file__).parent.parent
EVERY_PROCESS = Path(__file__).parent / "every_process"
_IMPORTED = (
    *("alembic.autogenerate", "alembic.config", "roost.app", "roost.cli", "roost.cli.run"),
    # What the web server imports when it starts.
    *("uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl"),
    *("uvicorn.protocols.websockets.websockets_sansio_impl", "encodings.idna"),
)
# Where the commands begin.
_PROGRAMS = {"roost": "roost.cli", "alembic": "alembic.config"}
_LONGEST_REQUEST_BYTES = 1 << 17


class Child:
    """A process made by the warm interpreter, with the part of `subprocess.Popen`'s face that tests look at."""

    def __init__(self, pid: int, ending: socket.socket, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.args = list(arguments)
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        """The exit code, as `subprocess` counts it, or None while the process runs."""
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._ending], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            said = self._ending.recv(16)
            assert said, "The warm interpreter is gone; nobody knows how this process ended."
            self.returncode = int(said)
            self._ending.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


class WarmRoost:
    """One warm interpreter, started when the first process is asked of it."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

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
        control = self._control or self._start()
        ours, theirs = socket.socketpair()
        command = [program, *arguments]
        request = json.dumps({"command": command, "cwd": str(cwd), "environment": dict(environment)}).encode()
        assert len(request) < _LONGEST_REQUEST_BYTES
        with theirs:
            socket.send_fds(control, [request], [out, err, theirs.fileno()])
        pid = int(ours.recv(16))
        return Child(pid, ours, command)

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
        """End the interpreter; what it made goes on."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(timeout=10)
            self._control = self._process = None

    def _start(self) -> socket.socket:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_roost", str(theirs.fileno())],
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                env={
                    **{name: value for name, value in os.environ.items() if name != COUNT_LINES_IN},
                    "PYTHONPATH": str(EVERY_PROCESS),
                    "PYTHONWARNINGS": "default",
                    "PYTHONUNBUFFERED": "1",
                },
            )
        return self._control


def _serve(control: socket.socket) -> tuple[list[str], list[int]] | None:
    """Fork for every request; returns None when the test run has ended, and in each child what that child is to do."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    endings: dict[int, int] = {}
    while True:
        ready = select.select([control.fileno(), bell], [], [])[0]
        if bell in ready:
            os.read(bell, 4096)
            _report(endings)
        if control.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, _LONGEST_REQUEST_BYTES, 3)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            return _become(json.loads(message), files), [bell, ringer, *files, *endings.values()]
        out, err, ending = files
        os.close(out)
        os.close(err)
        endings[pid] = ending
        os.write(ending, str(pid).encode())


def _report(endings: dict[int, int]) -> None:
    """Tell whoever waits for a child how it ended."""
    for pid, ending in list(endings.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del endings[pid]
            # A test that has ended waits for nobody.
            with contextlib.suppress(BrokenPipeError):
                os.write(ending, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(ending)


def _become(request: dict[str, object], files: list[int]) -> list[str]:
    """Put on the folder, environment and output of the process that was asked for; returns its command."""
    out, err, _ = files
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, out, err)):
        os.dup2(file, number)
    os.close(nothing)
    environment, command = request["environment"], request["command"]
    assert isinstance(environment, dict)
    assert isinstance(command, list)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(request["cwd"]))
    return [str(one) for one in command]


def main() -> None:
    """Import, then fork on request until the other end of the socket is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTED:
        importlib.import_module(name)
    # A fork that collects garbage would copy every page of what is shared.
    gc.collect()
    gc.freeze()
    task = _serve(control)
    if task is None:
        control.close()
        return
    sys.argv, files = task
    for file in files:
        os.close(file)
    importlib.import_module(_PROGRAMS[sys.argv[0]]).main()


warm_roost = WarmRoost()
atexit.register(warm_roost.stop)

if __name__ == "__main__":
    main()
