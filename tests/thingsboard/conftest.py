"""ThingsBoard's own client library, installed beside the other packages because it brings a paho of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RegisteredDevice
from tests.roost_server import RoostServer
from tests.waiting import wait_until

PACKAGES = ("tb-mqtt-client==1.13.14", "tb-paho-mqtt-client==2.1.2", "mmh3==5.3.1")
_ROOT = Path(__file__).parents[2]
_PROGRAM = Path(__file__).parent / "device.py"


@pytest.fixture(scope="session")
def library() -> Path:
    """The folder with the library; fetched once."""
    folder = _ROOT / "build" / "-".join(PACKAGES).replace("=", "")
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        uv = Path(sys.executable).parent / "uv"
        command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(draft), *PACKAGES]
        subprocess.run(command, check=True, timeout=120)
        try:
            draft.rename(folder)
        except OSError:
            assert folder.exists(), "Another test process has fetched it meanwhile."
    return folder


def library_environment(library: Path) -> dict[str, str]:
    """For a process with the library alone. What it misses it would install itself, into these tests' environment."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(library), "PIP_NO_INDEX": "1"}


class ThingsBoardDevice:
    """A device in a process of its own, and what it has heard."""

    def __init__(self, library: Path, server: RoostServer, token: str) -> None:
        self.heard: list[list[Any]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-S", str(_PROGRAM), str(server.mqtt_port), token],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=library_environment(library),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def do(self, *command: Any) -> None:
        """`method, argument…` of the library's client."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def next(self, what: str) -> list[Any]:
        """What it hears next of this kind; each is given once."""

        def look() -> list[Any]:
            return next((one for one in self.heard if one[0] == what), [])

        found = wait_until(look, 15, what=f"The device hearing {what}, of {self.heard}")
        self.heard.remove(found)
        return found[1:]

    def close(self) -> None:
        """Disconnect and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard.append(json.loads(line))


@pytest.fixture
def connect(library: Path, server: RoostServer) -> Iterator[Callable[[RegisteredDevice], ThingsBoardDevice]]:
    """`connect(device)` lets the library connect with the device's token."""
    made: list[ThingsBoardDevice] = []

    def start(device: RegisteredDevice) -> ThingsBoardDevice:
        made.append(ThingsBoardDevice(library, server, device.token))
        assert made[-1].next("connected") == [True]
        return made[-1]

    yield start
    for one in made:
        one.close()
