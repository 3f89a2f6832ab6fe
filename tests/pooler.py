"""A real pgbouncer in transaction mode in front of a PostgreSQL, with fewer connections to it than clients have."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.postgres_cluster import free_port
from tests.waiting import wait_until

SERVER_CONNECTIONS = 3


class Pooler:
    """In front of the server of a database's URL; see `url_of`."""

    def __init__(self, database_url: str) -> None:
        self._server = urlsplit(database_url)
        self._folder = Path(tempfile.mkdtemp(prefix="roost-pooler-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Pooler":
        """Return when it takes connections."""
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "No pgbouncer was found: `make test-tools` installs it."
        log, settings = self._folder / "pgbouncer.log", self._folder / "pgbouncer.ini"
        settings.write_text(f"""
            [databases]
            * = host={self._server.hostname} port={self._server.port} user={self._server.username}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self._port}
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            default_pool_size = {SERVER_CONNECTIONS}
            server_round_robin = 1
            logfile = {log}
        """)
        identity = {}
        if os.geteuid() == 0:  # which it refuses
            owner = pwd.getpwnam("nobody")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._process = subprocess.Popen([program, "-q", str(settings)], **identity)  # type: ignore[call-overload]
        wait_until(lambda: log.exists() and "listening on" in log.read_text(), what="A pgbouncer that listens")
        return self

    def url_of(self, database_url: str) -> str:
        """The same database, through the pooler."""
        parts = urlsplit(database_url)
        return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self._port}"))

    def stop(self) -> None:
        """Stop it and delete what it wrote."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
        shutil.rmtree(self._folder)
