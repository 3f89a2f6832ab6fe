"""Databases with every table and nothing in them: copies of one that was migrated, which takes longer than copying."""

import shutil
from pathlib import Path

from tests.postgres_cluster import PostgresCluster
from tests.warm_roost import warm_roost

_REPOSITORY = Path(__file__).parent.parent
_MIGRATING_TIMEOUT_S = 60


class MigratedDatabases:
    """Copies of one migrated database of each kind, which is made when a copy is first asked for."""

    def __init__(self, folder: Path, postgres: PostgresCluster) -> None:
        self._file = folder / "migrated.db"
        self._postgres = postgres
        self._template: str | None = None

    def sqlite(self, path: Path) -> str:
        """Put a copy there and return its URL."""
        if not self._file.exists():
            self._migrate(f"sqlite:///{self._file}")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._file, path)
        return f"sqlite:///{path}"

    def postgresql(self) -> str:
        """Make a copy in the cluster that all tests share and return its URL."""
        if self._template is None:
            template = self._postgres.create_database()
            self._migrate(template)
            self._template = template.rpartition("/")[2]
        return self._postgres.create_database(template=self._template)

    def _migrate(self, url: str) -> None:
        done = warm_roost.run(
            ["upgrade", "head"],
            cwd=_REPOSITORY,
            environment={"DATABASE_URL": url, "ROOST_DATA_DIR": str(self._file.parent)},
            timeout_s=_MIGRATING_TIMEOUT_S,
            program="alembic",
        )
        assert done.returncode == 0, done.stderr
