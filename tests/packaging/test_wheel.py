"""What somebody gets who installs the wheel: everything, in an empty folder, without a checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx2
import pytest

from tests.roost_server import RoostServer

_CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", folder], cwd=_CHECKOUT, env=_environment(), check=True
    )
    return next(folder.glob("roost-*.whl"))


def test_the_wheel_carries_migrations_and_web_app(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "roost/webapp/index.html" in names
    assert "roost/migrations/env.py" in names
    assert any(name.startswith("roost/migrations/versions/") for name in names)
    assert "roost/py.typed" in names
    assert "roost_device/agent/__main__.py" in names
    assert not {name.split("/")[0] for name in names if not name.startswith("roost-")} - {"roost", "roost_device"}


def test_the_wheel_runs_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", environment / "bin" / "python", wheel],
        env=_environment(),
        check=True,
    )
    server = RoostServer(tmp_path / "empty", program=environment / "bin" / "roost").start()
    try:
        root = httpx2.get(f"{server.url}/", trust_env=False, verify=False)
        assert root.json()["name"]
        page = httpx2.get(f"{server.url}/app/", trust_env=False, verify=False)
        assert page.status_code == 200
        assert '<div id="app"' in page.text
    finally:
        server.stop()
    server.assert_no_complaints()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"UV_INDEX_URL", "UV_DEFAULT_INDEX"}}
