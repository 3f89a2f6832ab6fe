"""A second call of a target finds its work done."""

import subprocess
import time
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]


def test_a_second_set_up_takes_seconds() -> None:
    subprocess.run(["make", "--silent", "setup"], cwd=_CHECKOUT, check=True)
    started = time.monotonic()
    subprocess.run(["make", "--silent", "setup"], cwd=_CHECKOUT, check=True)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "target", ["run", "test", "setup", "web", "lint", "format", "bench", "soak", "wheel", "help", "test-pages"]
)
def test_every_promised_target_is_there(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=_CHECKOUT, check=True, capture_output=True)


@pytest.mark.parametrize("target", ["api-start", "api-restart", "db-migrate", "db-status", "test-api", "test-auth"])
def test_every_target_that_the_documents_name_is_there(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=_CHECKOUT, check=True, capture_output=True)


def test_a_revision_needs_a_message() -> None:
    refused = subprocess.run(["make", "db-revision"], cwd=_CHECKOUT, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert 'MSG="' in refused.stderr
