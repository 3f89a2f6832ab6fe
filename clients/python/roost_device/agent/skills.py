"""The tasks that an agent knows."""

import contextlib
import logging
import os
import platform
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roost_device import Device, Task, TaskFailed, __version__
from roost_device.agent.config import AppliedConfig, ConfigRefused
from roost_device.agent.settings import AgentSettings

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SHELL_TIMEOUT_S = 60.0
LONGEST_SHELL_S = 3600.0
REBOOT_PATIENCE_S = 120.0
# Leaves room in a result of 16 KiB for what JSON makes of control characters, and the rest of the result.
_OUTPUT_BYTES = 8 * 1024
_TAIL_LINES = 50
_MOST_LINES = 500
_LOOK_EVERY_S = 0.1


class RecentLines(logging.Handler):
    """The agent's own last log lines, for `log.tail`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


def teach(device: Device, settings: AgentSettings, config: AppliedConfig, recent: RecentLines) -> None:
    """Let the device offer the agent's tasks: what can do harm only when it is allowed on this machine."""

    @device.task("ping", repeatable=True)
    def ping(_task: Task) -> dict[str, Any]:
        return {"pong": True, "agent": __version__, "host": platform.node(), "uptime_s": int(time.monotonic())}

    @device.task("config.apply", repeatable=True)
    def config_apply(task: Task) -> dict[str, Any]:
        try:
            applied = config.apply(task.payload)
        except ConfigRefused as error:
            raise TaskFailed(str(error)) from None
        device.report({"config": applied})
        return {"config": applied}

    @device.task("log.tail", repeatable=True)
    def log_tail(task: Task) -> dict[str, Any]:
        return tail(task, settings.log_files, list(recent.lines))

    if "reboot" in settings.allow:
        reboot, rebooted = rebooting(settings.reboot_command)
        device.task("reboot", interrupted=rebooted)(reboot)
    if "shell" in settings.allow:
        device.task("shell")(shell)


def tail(task: Task, allowed: list[str], own_lines: list[str]) -> dict[str, Any]:
    """The last `lines` of `file`, which the machine's settings have to list; without one, of the agent's own log."""
    wanted = task.payload.get("lines", _TAIL_LINES)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= _MOST_LINES:
        raise TaskFailed(f"lines is a number from 1 to {_MOST_LINES}.")
    name = task.payload.get("file")
    if name is None:
        text = "\n".join(own_lines[-wanted:])
    elif name in allowed:
        text = "\n".join(_last_lines(Path(name), wanted))
    else:
        raise TaskFailed(f"{name!r} is not among log_files in the agent's settings on the machine.")
    kept, cut = _cut(text.encode())
    return {"file": name, "text": kept, "cut": cut}


def rebooting(
    command: list[str], boot_id: Path = BOOT_ID, patience_s: float = REBOOT_PATIENCE_S
) -> tuple[Callable[[Task], Any], Callable[[Task], Any]]:
    """What `reboot` does, and what it answers when the agent is back."""

    def reboot(task: Task) -> None:
        task.remember({"boot_id": boot_id.read_text(encoding="ascii").strip()})
        try:
            # The machine's settings name the command; nothing of it comes from the hub.
            done = subprocess.run(command, capture_output=True, timeout=patience_s, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TaskFailed(f"The machine cannot be restarted: {error}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise TaskFailed(f"{command[0]} ended with {done.returncode}: {said}")
        # The restart ends this program. If it does not, the task must not stay open.
        if task.cancelled.wait(patience_s):
            raise TaskFailed("It was cancelled after the restart had been asked for.")
        raise TaskFailed(f"The machine did not restart within {patience_s:.0f} s.")

    def rebooted(task: Task) -> dict[str, Any]:
        if task.memory.get("boot_id") == boot_id.read_text(encoding="ascii").strip():
            raise TaskFailed("The agent restarted, the machine did not.")
        return {"rebooted": True}

    return reboot, rebooted


def shell(task: Task) -> dict[str, Any]:
    """`{"command", "timeout_s"?}` → `{"exit_code", "output", "cut"}`, of both streams, their end when they are long."""
    command, timeout_s = task.payload.get("command"), task.payload.get("timeout_s", SHELL_TIMEOUT_S)
    if not isinstance(command, str) or not command.strip():
        raise TaskFailed("command is what the shell shall do.")
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= LONGEST_SHELL_S:
        raise TaskFailed(f"timeout_s is at most {LONGEST_SHELL_S:.0f} seconds.")
    ends_at = time.monotonic() + timeout_s
    # Running what its owner sends is the point; it is offered only where the machine's settings allow it.
    with subprocess.Popen(  # noqa: S602
        command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:  # fmt: skip
        output, why = _gather(process, task, ends_at)
    kept, cut = _cut(output)
    if why:
        raise TaskFailed(f"{why} It had said: {kept[-1000:]}")
    return {"exit_code": process.returncode, "output": kept, "cut": cut}


def _gather(process: "subprocess.Popen[bytes]", task: Task, ends_at: float) -> tuple[bytes, str]:
    output = bytearray()
    stream = process.stdout
    if stream is None:
        raise TaskFailed("The shell has no output.")
    os.set_blocking(stream.fileno(), False)
    why = ""
    while True:
        ended = process.poll() is not None
        while chunk := stream.read(65_536):
            output += chunk
            # Only the end is told, so only twice as much has to be kept.
            del output[: max(0, len(output) - 2 * _OUTPUT_BYTES)]
        if ended:
            return bytes(output), why
        if not why and task.cancelled.is_set():
            why = "It was cancelled, and ended by force."
        elif not why and time.monotonic() > ends_at:
            why = "It took too long, and was ended by force."
        if why:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)


def _last_lines(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8 * _OUTPUT_BYTES))
            lines = file.read(8 * _OUTPUT_BYTES).decode(errors="replace").splitlines()
    except OSError as error:
        raise TaskFailed(f"{path} cannot be read: {error.strerror}") from None
    return lines[-count:]


def _cut(output: bytes) -> tuple[str, bool]:
    return output[-_OUTPUT_BYTES:].decode(errors="replace"), len(output) > _OUTPUT_BYTES
