"""`roost smoke` against a running hub, and against what is no hub."""

import os
import subprocess
from pathlib import Path

from tests.postgres_cluster import free_port
from tests.roost_server import RoostServer
from tests.warm_roost import warm_roost


def smoke(*options: str) -> "subprocess.CompletedProcess[str]":
    return warm_roost.run(["smoke", *options], cwd=Path.cwd(), environment=os.environ, timeout_s=60)


def test_every_check_passes_against_a_running_hub(server: RoostServer) -> None:
    run = smoke("--url", server.url)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "FAIL" not in run.stdout
    assert "SKIP" not in run.stdout
    for status in (401, 404, 409, 410, 413):
        assert f"({status})" in run.stdout


def test_it_runs_as_somebody_who_is_there_already(server: RoostServer) -> None:
    run = smoke("--url", server.url, "--email", server.admin_email, "--password", server.admin_password)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_failed_check_is_a_failed_run(server: RoostServer) -> None:
    run = smoke("--url", server.url, "--email", server.admin_email, "--password", "not it")
    assert run.returncode == 1
    assert "FAIL" in run.stdout


def test_no_hub_is_one_clear_sentence() -> None:
    run = smoke("--url", f"http://127.0.0.1:{free_port()}")
    assert run.returncode == 1
    assert "does not answer" in run.stderr
    assert "Traceback" not in run.stderr
