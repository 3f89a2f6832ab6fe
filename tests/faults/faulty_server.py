"""A server whose log (on SQLite) is on a disk that does what the test asks for."""

import shutil
import sys
from pathlib import Path

from tests.roost_server import RoostServer

_REPOSITORY = Path(__file__).resolve().parents[2]


class FaultyServer(RoostServer):
    """Syncs wait while `hold` exists; `shadow` holds what would be left of `folder` if the power went out now."""

    def __init__(self, folder: Path, *, unsynced: bool = False, slice_rows: int | None = None) -> None:
        beside = folder.with_name(f"{folder.name}-faults")
        beside.mkdir(parents=True)
        self.hold = beside / "hold"
        self.waiting = beside / "hold.waiting"
        self.shadow = beside / "shadow"
        program = beside / "roost"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.faults.faulty_disk "$@"\n')
        program.chmod(0o755)
        environment = {
            "PYTHONPATH": str(_REPOSITORY),
            "FAULTS_HOLD": str(self.hold),
            "FAULTS_SHADOW": str(self.shadow),
            "FAULTS_DURABLE": str(folder),
            # Nobody else may be the one whose message waits for a sync.
            "ROOST_HOST_DEVICE": "false",
        }
        if unsynced:
            environment["FAULTS_UNSYNCED"] = "1"
        if slice_rows is not None:
            environment["FAULTS_SLICE_ROWS"] = str(slice_rows)
        super().__init__(folder, None, environment, program=program)

    def kept_by_the_disk(self) -> Path:
        """A copy of the log's folder as it would be found after a power cut. Kill the server first."""
        kept = self.shadow / self.data_dir.name / "telemetry"
        found = self.shadow.with_name("found")
        found.mkdir()
        if kept.exists():
            shutil.copytree(kept, found, ignore=shutil.ignore_patterns("*.unfinished"), dirs_exist_ok=True)
        return found
