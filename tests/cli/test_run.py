"""`roost run`: one clear sentence for whatever keeps the hub from starting, and a quick, orderly end."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from roost.core.settings import Settings
from tests.conftest import FreshServer
from tests.postgres_cluster import PostgresCluster
from tests.warm_roost import warm_roost

ROOST = str(Path(sys.executable).parent / "roost")


def run(folder: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "ROOST_PORT": "0", "ROOST_MQTT_PORT": "0", **environment}
    return warm_roost.run(["run", *flags], cwd=folder, environment=clean, timeout_s=60)


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode != 0
    said = done.stderr.strip()
    assert said.startswith("roost: "), said
    assert said.endswith("."), said
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(("flag", "what"), [("--port", "HTTP"), ("--mqtt-port", "MQTT")])
def test_a_taken_port(tmp_path: Path, flag: str, what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_sentence(run(tmp_path, flag, str(port)), str(port), what, flag)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "70000"], ["--port"]),
        (["--port", "eight"], ["--port"]),
        (["--telemetry-rate", "-1"], ["--telemetry-rate"]),
        (["--log-level", "loud"], ["--log-level"]),
        (["--database-url", "mysql://a/b"], ["--database-url", "sqlite"]),
        (["--secret-key", "hunter2"], ["--secret-key", "32"]),
        (["--tls-cert", "cert.pem"], ["tls_key"]),
        (["--tls-cert", "no.pem", "--tls-key", "no.key"], ["no.pem"]),
        (["--host", "no.such.host.invalid"], ["--host"]),
    ],
)
def test_a_bad_value(tmp_path: Path, flags: list[str], words: list[str]) -> None:
    done = run(tmp_path, *flags)
    assert_one_sentence(done, *words)
    assert "hunter2" not in done.stderr


def test_a_data_folder_that_another_hub_uses(fresh_server: FreshServer, tmp_path: Path) -> None:
    server = fresh_server()
    assert_one_sentence(run(tmp_path, "--data-dir", str(server.data_dir)), "already using", "--data-dir")


def test_a_bad_value_in_the_environment(tmp_path: Path) -> None:
    assert_one_sentence(run(tmp_path, DATABASE_URL="oracle:x"), "--database-url")


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing of the kind")
    assert_one_sentence(run(tmp_path, "--tls-cert", "cert.pem", "--tls-key", "key.pem"), "cert.pem")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_sentence(run(tmp_path, "--data-dir", str(tmp_path / "file" / "data")), "--data-dir")


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "roost.db").write_bytes(b"This is a text, not a database. " * 100)
    assert_one_sentence(run(tmp_path), "database")


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "roost.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    assert_one_sentence(run(tmp_path), "9999", "newer version")


def test_a_database_that_is_not_there(tmp_path: Path, postgres: PostgresCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    assert_one_sentence(run(tmp_path, "--database-url", f"postgresql://a:b@127.0.0.1:{free}/c"), "database")
    unknown = postgres.create_database().rpartition("/")[0] + "/no_such_database"
    assert_one_sentence(run(tmp_path, DATABASE_URL=unknown), "no_such_database")


def test_every_setting_is_a_flag() -> None:
    done = subprocess.run(
        [ROOST, "run", "--help"], env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    flags = set(re.findall(r"--[a-z0-9-]+", done.stdout))
    assert {f"--{name.replace('_', '-')}" for name in Settings.model_fields} <= flags


def test_starts_on_free_ports_says_where_and_ends_at_once(fresh_server: FreshServer) -> None:
    # The command itself, not a fork of a warm interpreter.
    server = fresh_server(ROOST_HOST_DEVICE="false", PYTHONPATH="")
    assert f"Roost is ready: {server.url}/" in server.log_text()
    with httpx2.Client(base_url=server.url, trust_env=False, verify=False) as client:
        assert client.get("/health").status_code == 200
        process = server.process
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
        assert time.monotonic() - started < 8
    assert "Traceback" not in server.log_text()
    server.start()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_hub_that_was_stopped_in_order_ends_with_zero(fresh_server: FreshServer, told: signal.Signals) -> None:
    server = fresh_server(ROOST_HOST_DEVICE="false")
    server.process.send_signal(told)
    assert server.process.wait(timeout=20) == 0, server.log_text()
    assert "Application shutdown complete" in server.log_text()
    server.start()


def test_migrates_by_hand(fresh_server: FreshServer) -> None:
    server = fresh_server(start=False)
    for arguments, expected in (
        (["status"], "no revision"),
        (["upgrade"], "up to date"),
        (["downgrade", "base"], "to be migrated"),
        (["upgrade", "head"], "up to date"),
    ):
        done = server.run_command("db", *arguments)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    wrong = server.run_command("db", "upgrade", "nonsense")
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr
