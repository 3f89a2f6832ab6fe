"""The agent as a person starts it: a process of its own, against a running hub."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.clients.conftest import counted, ended, order, pairing_code, unique_uid
from tests.conftest import FreshServer, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

_CHECKOUT = Path(__file__).parents[3]
_PACKAGE = _CHECKOUT / "clients" / "python"
_MEMORY_LIMIT_BYTES = 40 * 2**20
# Counts through all lives of the agent, and notes where each life begins.
_COUNTER = """\
import pathlib

KEPT = pathlib.Path({folder!r}) / "counter"
number = int(KEPT.read_text()) if KEPT.exists() else 0
with KEPT.with_name("births").open("a") as births:
    births.write(f"{{number}}\\n")

def read():
    global number
    KEPT.with_suffix(".new").write_text(str(number + 1))
    KEPT.with_suffix(".new").rename(KEPT)
    number += 1
    return {{"n": number - 1}}
"""


class Machine:
    """A machine with an agent: its settings, its process, its end by kill -9."""

    def __init__(self, folder: Path, hub: RoostServer) -> None:
        self.uid = unique_uid(folder)
        self.folder = folder
        self.hub = hub
        self._config = folder / "agent.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {"PYTHONPATH": f"{_PACKAGE}:{folder}", "PYTHONUNBUFFERED": "1"}
        # It would be measured with the memory that measuring takes.
        self._environment.pop("COVERAGE_PROCESS_CONFIG", None)

    def pair(self, owner: UserClient) -> int:
        """Pair from the terminal, with a wrong code first; the device's id."""
        arguments = ["pair", "--url", self.hub.url, "--uid", self.uid, "--folder", str(self.folder / "data")]
        with subprocess.Popen(
            self._command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment
        ) as terminal:
            assert terminal.stdin is not None
            assert terminal.stdout is not None
            assert self.uid in terminal.stdout.readline()
            said, _ = terminal.communicate(f"0000-0000\n{pairing_code(owner, self.uid)}\n", timeout=30)
        assert "compare it letter by letter" in said
        assert terminal.returncode == 0
        return int(owner.get("/devices", params={"q": self.uid}).json()[0]["id"])

    def set(self, **lines: Any) -> None:
        """Change settings by hand."""
        text = self._config.read_text(encoding="utf-8")
        kept = [line for line in text.splitlines() if line.split(" ")[0] not in lines]
        written = [f"{name} = {json.dumps(value)}" for name, value in lines.items()]
        self._config.write_text("\n".join([f"mqtt_port = {self.hub.mqtt_port}", *written, *kept]), encoding="utf-8")

    def said(self, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            self._command(*arguments), capture_output=True, text=True, env=self._environment, check=True, timeout=30
        )
        return done.stdout

    def start(self) -> psutil.Process:
        """Start the agent in the background."""
        with (self.folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(self._command("run"), stdout=log, stderr=log, env=self._environment)
        return psutil.Process(self._process.pid)

    def kill(self) -> None:
        """As a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """As the system does; the exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        return process.wait(timeout=20)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "roost_device.agent", *arguments, "--config", str(self._config)]


@pytest.fixture
def machine(hub: RoostServer, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose agent is not paired yet."""
    made = Machine(tmp_path, hub)
    yield made
    made.kill()


@pytest.mark.parametrize("transport", ["http", "mqtt"])
def test_from_the_pairing_to_work_done(machine: Machine, owner: UserClient, transport: str) -> None:
    device_id = machine.pair(owner)
    assert f"device   {device_id}" in machine.said("status")
    machine.set(transport=transport, interval_s=1)
    process = machine.start()
    task = ended(owner, order(owner, device_id, "config.apply", payload={"interval_s": 30}))
    assert (task["status"], task["result"]) == ("done", {"config": {"interval_s": 30, "paused": False}})
    refused = ended(owner, order(owner, device_id, "config.apply", payload={"url": "http://elsewhere"}))
    assert (refused["status"], "no setting url" in refused["reason"]) == ("failed", True)
    assert ended(owner, order(owner, device_id, "ping"))["result"]["pong"] is True
    lines = ended(owner, order(owner, device_id, "log.tail"))["result"]["text"]
    assert f"Device {device_id} ({machine.uid}) is at work." in lines
    # What can do harm is not on offer unless somebody allowed it on the machine.
    contexts = owner.get(f"/devices/{device_id}/task-contexts").json()
    assert contexts[0]["capabilities"]["tasks"] == ["config.apply", "log.tail", "ping"]

    def latest() -> dict[str, float]:
        rows = owner.get(f"/devices/{device_id}/readings/latest").json()
        return {row["sensor_type"]: row["value"] for row in rows}

    readings = wait_until(latest, what="Readings")
    assert readings["memory_percent"] > 0
    assert process.memory_info().rss < _MEMORY_LIMIT_BYTES
    assert machine.stop() == 0
    assert owner.get(f"/devices/{device_id}/shadow").json()["reported"]["config"]["interval_s"] == 30


def test_the_owner_sets_the_interval_in_the_shadow(machine: Machine, owner: UserClient) -> None:
    device_id = machine.pair(owner)
    machine.set(transport="mqtt", interval_s=5)
    path = f"/devices/{device_id}/shadow"
    assert owner.put(path, json={"desired": {"config": {"interval_s": 20}}}).status_code == 200
    machine.start()
    wait_until(lambda: owner.get(path).json()["reported"].get("config", {}).get("interval_s") == 20, 20, what="20 s")
    assert owner.put(path, json={"desired": {"config": {"interval_s": 0}}}).status_code == 200
    wait_until(lambda: owner.get(path).json()["reported"].get("config_refused"), 20, what="A refusal")
    assert machine.stop() == 0


def test_a_shell_works_where_it_is_allowed(machine: Machine, owner: UserClient) -> None:
    device_id = machine.pair(owner)
    machine.set(allow=["shell"], transport="http")
    machine.start()
    task = ended(owner, order(owner, device_id, "shell", payload={"command": "echo hello"}))
    assert task["result"] == {"exit_code": 0, "output": "hello\n", "cut": False}
    assert machine.stop() == 0


def _live_through_kills(
    machine: Machine,
    owner: UserClient,
    device_id: int,
    transport: str,
    *,
    tasks: int,
    kills: int,
    chance: random.Random,
) -> None:
    """Queue tasks, kill the agent and the hub in the middle of them, and look at what became of it all."""
    done = machine.folder / "done"
    done.mkdir()
    (machine.folder / "counter_sensor.py").write_text(_COUNTER.format(folder=str(machine.folder)), encoding="utf-8")
    machine.set(allow=["shell"], samplers=["counter_sensor:read"], interval_s=1, transport=transport)
    machine.start()
    ids = []
    for number in range(tasks):
        # Not a repeatable task: one that is cut off must end as failed, and none must run twice.
        command = f"echo run >> {done}/{number}; sleep 0.05"
        ids.append(order(owner, device_id, "shell", payload={"command": command}))
    for round_number in range(kills):
        begun = len(ids) * (round_number + 1) // (kills + 2)
        wait_until(partial(_has_files, done, begun), 180, what="Some of the tasks")
        if chance.random() < 0.5:
            machine.kill()
            machine.start()
        else:
            machine.hub.kill()
            machine.hub.start()
    statuses = [ended(owner, number, 180)["status"] for number in ids]
    assert set(statuses) <= {"done", "failed"}
    assert statuses.count("failed") <= kills
    assert {len(path.read_text().splitlines()) for path in done.iterdir()} == {1}
    for number, status in enumerate(statuses):
        assert (done / str(number)).exists() or status == "failed"
    wait_until(lambda: "waiting  0 messages" in machine.said("status"), 60, what="An empty spool")
    assert machine.stop() == 0
    numbers = [int(value) for value in counted(owner, device_id, "counter_sensor.n")]
    assert len(numbers) == len(set(numbers))
    births = {int(line) for line in (machine.folder / "births").read_text().split()}
    # What was counted and not yet on disk when the agent was killed is all that may be missing.
    assert set(range(max(numbers))) - set(numbers) <= {number - 1 for number in births}


def _has_files(folder: Path, least: int) -> bool:
    return len(list(folder.iterdir())) >= least


def test_kill_9_in_the_middle_of_tasks(fresh_server: FreshServer, tmp_path: Path) -> None:
    machine = Machine(tmp_path, fresh_server())
    with register_user(machine.hub) as owner:
        try:
            device_id = machine.pair(owner)
            _live_through_kills(machine, owner, device_id, "http", tasks=12, kills=2, chance=random.Random(3))
        finally:
            machine.kill()


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["http", "mqtt"])
def test_kill_9_while_500_tasks_run(fresh_server: FreshServer, tmp_path: Path, transport: str) -> None:
    machine = Machine(tmp_path, fresh_server())
    with register_user(machine.hub) as owner:
        try:
            device_id = machine.pair(owner)
            _live_through_kills(machine, owner, device_id, transport, tasks=500, kills=20, chance=random.Random(5))
        finally:
            machine.kill()


def test_the_systemd_unit_is_one(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("There is no systemd here.")
    text = (_PACKAGE / "roost-agent.service").read_text(encoding="utf-8")
    # The program and the user of a machine on which it is installed.
    text = text.replace("/opt/roost-agent/bin/roost-agent", sys.executable).replace("User=roost-agent\n", "")
    unit = tmp_path / "roost-agent.service"
    unit.write_text(text, encoding="utf-8")
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
