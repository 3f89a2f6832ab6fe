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
        super().__init__(folder, None, environment, program)

    def after_power_cut(self) -> RoostServer:
        """A healthy server, not started yet, with what the disk kept of the log. Kill this one first.

        The state database comes along as it is: it is another library's, and not what is looked at.
        """
        other = RoostServer(self.folder.with_name(f"{self.folder.name}-after"))
        shutil.copytree(self.data_dir, other.data_dir, ignore=shutil.ignore_patterns("telemetry"))
        kept = self.shadow / self.data_dir.name / "telemetry"
        if kept.exists():
            shutil.copytree(kept, other.data_dir / "telemetry", ignore=shutil.ignore_patterns("*.unfinished"))
        return other
