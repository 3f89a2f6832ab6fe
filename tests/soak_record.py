"""A pytest plugin for `make soak`: what each long run came to, written down for those who do not run them.

Each run replaces its own line in `benchmarks/results/soak.json` and the table made of it, as soon as it has ended.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import describe_machine

_ROOT = Path(__file__).parent.parent
_JSON = _ROOT / "benchmarks" / "results" / "soak.json"
_TABLE = _JSON.with_suffix(".md")


def pytest_configure(config: pytest.Config) -> None:
    """Write down the runs that are long, and no others that a person may have named."""
    config.pluginmanager.register(_Record(), "soak-record")


class _Record:
    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            machine = describe_machine(Path(folder))
        self._commit = machine["commit"]
        self._machine = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
        self._seconds: dict[str, float] = {}
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "soak" not in report.keywords:
            return
        name = report.nodeid
        self._seconds[name] = self._seconds.get(name, 0) + report.duration
        if report.when == "setup" or report.outcome != "passed":
            self._outcomes[name] = report.outcome
        if report.when == "teardown":
            self._write(name)

    def _write(self, name: str) -> None:
        runs: dict[str, dict[str, Any]] = json.loads(_JSON.read_text()) if _JSON.exists() else {}
        runs[name] = {
            "outcome": self._outcomes[name],
            "seconds": round(self._seconds[name]),
            "ended": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            "commit": self._commit,
            "machine": self._machine,
        }
        _JSON.write_text(json.dumps(runs, indent=2, sort_keys=True) + "\n")
        rows = "".join(
            f"| `{name}` | {run['outcome']} | {run['seconds']:,} | {run['ended']} | {run['commit']} |"
            f" {run['machine']} |\n"
            for name, run in sorted(runs.items())
        )
        _TABLE.write_text(
            "# What the last `make soak` came to\n\n"
            "Each long run by itself: the last time it was run to its end.\n\n"
            "| run | outcome | seconds | ended | commit | machine |\n|---|---|---:|---|---|---|\n" + rows
        )
