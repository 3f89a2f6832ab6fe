"""A real `roost run` as a child process, and what its log must never say."""

import contextlib
import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.every_process.sitecustomize import COUNT_LINES_IN
from tests.postgres_cluster import free_port
from tests.waiting import wait_until
from tests.warm_roost import EVERY_PROCESS, Child, counting_roost, warm_roost

ADMIN_EMAIL = "admin@example.org"
ADMIN_PASSWORD = "Tall-Chimney-42"

# Every one of these in a server's log is a defect, whatever the test looked at.
_COMPLAINTS = re.compile(
    r"Traceback \(most recent call last\)|Task was destroyed|was never awaited|"
    r"exception was never retrieved|\w+Warning:"
)
_INSTALLED = Path(sys.executable).parent / "roost"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_FOREIGN_SETTINGS = re.compile(
    r"ROOST_|HUBEX_|JWT_|AWS_|S3_|DATABASE_URL|SECRET_KEY|ACCESS_TOKEN_|REFRESH_TOKEN_|CORS_|FRONTEND_ORIGIN|LOG_LEVEL|OTEL_|"
    r"NATS_|"
    r"DEBUG$"
)


class RoostServer:
    """One server process with its own data folder, ports and database. It can be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        database_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        counted: bool = False,
        command: str = "run",
        program: Path = _INSTALLED,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_path = folder / "roost.log"
        self.port = free_port()
        self.mqtt_port = free_port()
        self.database_url = database_url or f"sqlite:///{self.data_dir / 'roost.db'}"
        self.admin_email = ADMIN_EMAIL
        self.admin_password = ADMIN_PASSWORD
        self._program = program
        self._command = command
        self._process: subprocess.Popen[bytes] | Child | None = None
        self._environment = {name: value for name, value in os.environ.items() if not _FOREIGN_SETTINGS.match(name)}
        if not counted:
            # Counting lines makes a start longer; the servers that stay up long see nearly every line.
            self._environment.pop(COUNT_LINES_IN, None)
        self._environment |= {
            "ROOST_HOST": "127.0.0.1",
            "ROOST_PORT": str(self.port),
            "ROOST_MQTT_PORT": str(self.mqtt_port),
            "ROOST_DATA_DIR": str(self.data_dir),
            "ROOST_ADMIN_EMAIL": self.admin_email,
            "ROOST_ADMIN_PASSWORD": self.admin_password,
            "ROOST_TELEMETRY_RATE": "0",
            "PYTHONPATH": str(EVERY_PROCESS),
            "PYTHONWARNINGS": "default",
            "PYTHONUNBUFFERED": "1",
        }
        if database_url:
            self._environment["DATABASE_URL"] = database_url
        self._environment |= dict(environment or {})
        scheme = "https" if "ROOST_TLS_CERT" in self._environment else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    @property
    def database_kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.database_url.partition(":")[0].partition("+")[0]

    @property
    def process(self) -> "subprocess.Popen[bytes] | Child":
        """The running child process."""
        assert self._process is not None, "This server is not running."
        return self._process

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self.process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the child: for running another `roost` command beside it."""
        return dict(self._environment)

    def start(self) -> "RoostServer":
        """Start the process and return when `/healthz` answers."""
        self.launch()
        self.wait_for_answer()
        return self

    def wait_for_answer(self) -> None:
        """Return when `/healthz` answers; AssertionError with the log when the process ends or takes too long."""
        try:
            wait_until(self._answers, timeout_s=_START_TIMEOUT_S, what=f"The server (log: {self.log_path})")
        except AssertionError:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the process without waiting for an answer."""
        with self.log_path.open("ab") as log:
            if self._is_the_tests_own:
                warm = counting_roost if COUNT_LINES_IN in self._environment else warm_roost
                self._process = warm.launch(
                    [self._command], cwd=self.folder, environment=self._environment, out=log.fileno(), err=log.fileno()
                )
                return
            self._process = subprocess.Popen(
                [str(self._program), self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
            )

    def stop(self) -> None:
        """Ask the process to end, wait for it, and fail if it does not go or complains."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is not None:
            raise AssertionError(f"The server had ended by itself ({process.returncode}):\n{self.log_text()[-4000:]}")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"The server ignored SIGTERM:\n{self.log_text()[-4000:]}") from None
        assert process.returncode == 0, self.log_text()[-4000:]

    def kill(self) -> None:
        """`kill -9`, as a power cut would be to the process."""
        process, self._process = self.process, None
        process.kill()
        process.wait()

    def run_command(self, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run `roost <arguments>` with this server's environment and return how it went."""
        uncounted = {name: value for name, value in self._environment.items() if name != COUNT_LINES_IN}
        if self._is_the_tests_own:
            return warm_roost.run(arguments, cwd=self.folder, environment=uncounted, timeout_s=timeout_s)
        return subprocess.run(
            [str(self._program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=self.folder,
            env=uncounted,
        )

    def log_text(self, start: int = 0) -> str:
        """What the process has printed, from byte `start` on."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def log_size(self) -> int:
        """Bytes printed so far; hand it to `log_text` or `assert_no_complaints` later."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def assert_no_complaints(self, start: int = 0) -> None:
        """Fail when the log holds a traceback, a warning or an orphaned task."""
        text = self.log_text(start)
        found = _COMPLAINTS.search(text)
        assert found is None, f"The server's log complains ({found[0]}):\n{text[max(0, found.start() - 2000) :][:6000]}"

    @property
    def _is_the_tests_own(self) -> bool:
        """Whether a fork of the warm interpreter is the same as the command itself would be."""
        return self._program == _INSTALLED and self._environment["PYTHONPATH"] == str(EVERY_PROCESS)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"The server ended at start ({self.process.returncode}):\n{self.log_text()[-4000:]}")
        if self.url.startswith("https"):
            # Not `create_default_context`: it reads all certificates of the machine, which takes longer than a poll.
            unverified = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=5, context=unverified
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200
            except (http.client.HTTPException, OSError):
                return False
