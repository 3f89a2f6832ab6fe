"""The header for Arduino boards, compiled for this computer, against a running hub.

`ROOST_ARDUINO_MQTT=<folder>/src` builds it with the library itself (github.com/256dpi/arduino-mqtt) in place of our
stand-in.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.board import Board
from tests.clients.conftest import counted, ended, order, unique_uid
from tests.conftest import FreshServer, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

_CHECKOUT = Path(__file__).parents[3]
_HOST = Path(__file__).parent / "host"
_STRICT = ["-std=c++11", "-O0", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]

StartBoard = Callable[..., Board]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch, compiled."""
    compiler = shutil.which("c++")
    assert compiler, "There is no C++ compiler: apt-get install g++."
    folder = tmp_path_factory.mktemp("arduino")
    includes = ["-I", str(_HOST), "-I", str(_CHECKOUT / "clients" / "arduino")]
    sources = [str(_HOST / "program.cpp")]
    flags = _STRICT
    library = os.environ.get("ROOST_ARDUINO_MQTT")
    if library:
        # It is not ours to be strict with, and its C parts need a compiler of their own.
        flags = ["-std=c++17", "-g", "-fsanitize=address,undefined"]
        includes = ["-I", library, *includes]
        for part in sorted(Path(library, "lwmqtt").glob("*.c")):
            made = folder / f"{part.stem}.o"
            subprocess.run(["cc", "-c", "-g", "-o", made, part], check=True)
            sources.append(str(made))
        sources.append(f"{library}/MQTTClient.cpp")
    done = subprocess.run(
        [compiler, *flags, *includes, *sources, "-o", folder / "program"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "program"


@pytest.fixture
def start(program: Path, tmp_path: Path) -> StartBoard:
    """`start(hub, count=10, …)` starts the sketch; see program.cpp."""

    def start_board(
        hub: RoostServer, *, count: int, interval_ms: int = 1, tasks: int = 0, deltas: int = 0, mqtt_port: int = 0
    ) -> Board:
        numbers = [str(number) for number in (count, interval_ms, tasks, deltas)]
        ports = [str(hub.port), str(mqtt_port or hub.mqtt_port)]
        return Board([str(program), *ports, unique_uid(tmp_path), str(tmp_path / "identity"), *numbers])

    return start_board


def test_a_board_is_paired_sends_works_and_reports(
    hub: RoostServer, owner: UserClient, tmp_path: Path, start: StartBoard
) -> None:
    with start(hub, count=30, tasks=9, deltas=1) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        wanted = {"desired": {"interval_s": 5, "lamp": {"on": True, "name": 'a "lamp", {blue}'}}}
        assert owner.put(f"/devices/{device_id}/shadow", json=wanted).status_code == 200
        # More than its memory holds at once: the rest is sent again after a reconnect.
        blinks = [order(owner, device_id, "blink", payload={"times": n, "text": "x" * 300}) for n in range(8)]
        unknown = order(owner, device_id, "fly")
        assert [ended(owner, task)["result"] for task in blinks] == [{"blinked": n} for n in range(8)]
        failed = ended(owner, unknown)
        assert (failed["status"], failed["result"]) == ("failed", {"error": "This device can only blink."})
        result = board.result()
    assert (result["waiting"], result["dropped"], result["tasks"]) == (0, 0, 9)
    assert counted(owner, device_id) == list(range(30))
    assert owner.get(f"/devices/{device_id}/shadow").json()["delta"] == {}
    # Paired once, it comes back by itself.
    with start(hub, count=1) as again:
        assert again.result()["waiting"] == 0


def test_nothing_is_lost_or_doubled_when_the_hub_is_killed(
    fresh_server: FreshServer, tmp_path: Path, start: StartBoard
) -> None:
    hub = fresh_server()
    with register_user(hub) as owner, start(hub, count=120, interval_ms=25) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        wait_until(lambda: counted(owner, device_id), 10, what="The first messages")
        hub.kill()
        hub.start()
        result = board.result()
        assert (result["waiting"], result["dropped"]) == (0, 0)
        assert counted(owner, device_id) == list(range(120))
