"""A real PostgreSQL for tests, with a data folder of its own and one port."""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.postgres_installation import postgres_installation
from tests.waiting import wait_until


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, and that stays free until somebody asks for just this one.

    Not one of those that the system gives to connections on their way out: while a server restarts, one of the many
    connections of the tests would take its port. Every test process has ports of its own.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _own_ports() -> Iterator[int]:
    first, last = 12_000, 32_000
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    share = (last - first) // 4
    start = first + int(worker) % 4 * share
    # Another run beside this one begins elsewhere.
    offset = random.randrange(share)
    return itertools.cycle(start + (offset + step) % share for step in range(share))


_ports = _own_ports()


class PostgresCluster:
    """One PostgreSQL server on loopback that can be stopped and started again on the same port and data.

    It is made when it is first started or asked for a database, so that tests which need none do not wait for it.
    """

    def __init__(self, *, options: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roost-postgres-"))
        self.port = free_port()
        self._data = self.folder / "data"
        self._log_path = self.folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._options = options

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "This PostgreSQL is not running."
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        if not self._data.exists():
            self.folder.chmod(0o755)
            postgres_installation.new_data_folder(self._data)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    postgres_installation.program("postgres"),
                    *("-D", str(self._data), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "max_connections=200", "-c", "shared_buffers=32MB"),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **postgres_installation.identity(),
            )
        wait_until(self._takes_connections, timeout_s=30, what="A PostgreSQL that takes connections")

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server: cleanly, or (`immediately`) as in a crash, so that it has to recover from its log."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        self._process.wait(timeout=30)
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete everything it wrote."""
        self.stop()
        shutil.rmtree(self.folder)

    def create_database(self, *, template: str | None = None) -> str:
        """Make an empty database, or a copy of `template`; return its URL as in DATABASE_URL."""
        if self._process is None:
            self.start()
        name = f"roost_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL with psql and return its rows, one per line, columns parted by `|`."""
        connection = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", connection, "-c", sql)

    def _takes_connections(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended at start:\n{self._log_path.read_text()}")
        ready = subprocess.run(
            [postgres_installation.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return ready.returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        finished: subprocess.CompletedProcess[str] = subprocess.run(
            [postgres_installation.program(program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            **postgres_installation.identity(),
        )
        assert finished.returncode == 0, f"{program} failed: {finished.stderr}"
        return finished.stdout.strip()
