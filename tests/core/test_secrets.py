"""Secrets are made once, whole, and for the owner's eyes only."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roost.core.secrets import load_or_create


def test_made_once_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = load_or_create(path)
    assert len(secret) >= 43
    assert load_or_create(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_starting_together_ends_in_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: load_or_create(tmp_path / "secret"), range(32)))) == 1
