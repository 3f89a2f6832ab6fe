"""What an agent's tasks do, without a hub."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roost_device import Task, TaskFailed
from roost_device.agent.skills import rebooting, shell, tail


class Memory:
    """Stands for the journal and the hub."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def progress(self, task_id: int, percent: float | None, note: str | None) -> None:
        raise AssertionError("None of these tasks tells its progress.")

    def remember(self, task_id: int, memory: dict[str, Any]) -> None:
        self.kept = memory


def _task(payload: Mapping[str, Any], memory: Memory | None = None, cancelled: threading.Event | None = None) -> Task:
    memory = memory or Memory()
    return Task(1, "any", payload, 1, memory.kept, cancelled or threading.Event(), memory)


def test_a_shell_answers_with_what_was_said_and_how_it_ended() -> None:
    assert shell(_task({"command": "echo out; echo err >&2; exit 3"})) == {
        "exit_code": 3,
        "output": "out\nerr\n",
        "cut": False,
    }


def test_of_a_long_output_the_end_is_kept() -> None:
    answer = shell(_task({"command": "seq 1 20000"}))
    assert answer["cut"]
    assert answer["output"].endswith("19999\n20000\n")
    assert len(answer["output"]) <= 8192


def test_a_shell_that_takes_too_long_ends_with_all_its_children(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"took too long.*begun"):
        shell(_task({"command": f"echo begun; (sleep 30; touch {tmp_path}/late) & wait", "timeout_s": 0.3}))
    assert not (tmp_path / "late").exists()


def test_a_cancelled_shell_ends() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(TaskFailed, match="cancelled"):
        shell(_task({"command": "sleep 30"}, cancelled=cancelled))


@pytest.mark.parametrize("payload", [{}, {"command": " "}, {"command": 1}, {"command": "ls", "timeout_s": 0}])
def test_a_shell_that_is_asked_nonsense_says_so(payload: dict[str, object]) -> None:
    with pytest.raises(TaskFailed):
        shell(_task(payload))


def test_only_listed_files_are_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\nthree\n", encoding="utf-8")
    allowed = [str(log)]
    assert tail(_task({"file": str(log), "lines": 2}), allowed, [])["text"] == "two\nthree"
    assert tail(_task({"lines": 1}), allowed, ["own 1", "own 2"])["text"] == "own 2"
    for name in ("/etc/passwd", f"{tmp_path}/../{tmp_path.name}/a.log", ["/etc/passwd"]):
        with pytest.raises(TaskFailed, match="log_files"):
            tail(_task({"file": name}), allowed, [])
    with pytest.raises(TaskFailed, match="from 1 to 500"):
        tail(_task({"lines": 0}), allowed, [])
    log.unlink()
    with pytest.raises(TaskFailed, match="cannot be read"):
        tail(_task({"file": str(log)}), allowed, [])


def test_a_reboot_is_done_when_the_machine_has_another_boot_behind_it(tmp_path: Path) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("first\n", encoding="ascii")
    memory = Memory()
    reboot, rebooted = rebooting(["true"], boot_id, patience_s=0.01)
    with pytest.raises(TaskFailed, match="did not restart"):
        reboot(_task({}, memory))
    with pytest.raises(TaskFailed, match="the machine did not"):
        rebooted(_task({}, memory))
    boot_id.write_text("second\n", encoding="ascii")
    assert rebooted(_task({}, memory)) == {"rebooted": True}


def test_a_machine_that_must_not_be_restarted_says_why(tmp_path: Path) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("first\n", encoding="ascii")
    reboot, _ = rebooting(["sh", "-c", "echo not allowed >&2; exit 1"], boot_id)
    with pytest.raises(TaskFailed, match="not allowed"):
        reboot(_task({}))
    missing, _ = rebooting(["/no/such/program"], boot_id)
    with pytest.raises(TaskFailed, match="cannot be restarted"):
        missing(_task({}))
