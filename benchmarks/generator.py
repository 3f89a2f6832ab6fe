"""Running the load generator and reading what it prints."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.server import LOAD_CORE, Credential
from tests.roost_server import RoostServer

_PROGRAM = Path(__file__).parent / "loadgen" / "loadgen"
_START_TIMEOUT_S = 150


@dataclass(frozen=True)
class Load:
    """What the generator did: its blocks, and how much was sent and acknowledged altogether."""

    connect_s: float
    blocks: list[dict[str, Any]]
    sent: int
    acked: int
    refused: int
    lost_connections: int

    @property
    def per_cpu_s(self) -> float:
        """Acknowledged messages per second of server CPU time: the median of the blocks."""
        return median(float(block["acked"] / block["server_cpu_s"]) for block in self.blocks if block["server_cpu_s"])

    @property
    def per_second(self) -> float:
        """Acknowledged messages per second: the median of the blocks."""
        return median(float(block["acked"] / block["seconds"]) for block in self.blocks)

    def middle(self, figure: str) -> float:
        """The median of one figure over the blocks."""
        return median(float(block[figure]) for block in self.blocks)


def run_load(
    mode: str, server: RoostServer, credentials: Sequence[Credential], *, blocks: int, block_s: float, **options: Any
) -> Load:
    """Run the generator to its end and return what it measured; every credential is one connection."""
    with started_generator(mode, server, credentials, blocks=blocks, block_s=block_s, **options) as (process, lines):
        timeout_s = _START_TIMEOUT_S + (blocks + 1) * block_s + 30
        output, errors = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, errors
        lines += [json.loads(line) for line in output.splitlines()]
    total = lines[-1]
    return Load(
        lines[0]["seconds"],
        [line for line in lines if "block" in line],
        total["sent"],
        total["acked"],
        total["refused"],
        total["lost_connections"],
    )


@contextmanager
def started_generator(
    mode: str, server: RoostServer, credentials: Sequence[Credential], **options: Any
) -> "Iterator[tuple[subprocess.Popen[str], list[dict[str, Any]]]]":
    """The generator with all its connections open, and the lines it has printed so far; it is ended afterwards."""
    file = server.folder / "credentials"
    file.write_text("".join(f"{each.device_id} {each.token}\n" for each in credentials))
    port = server.port if mode == "http" else server.mqtt_port
    fixed = {
        "port": port,
        "connections": len(credentials),
        "cpu": LOAD_CORE,
        "server-pid": server.pid,
        "credentials": file,
    }
    command = [str(_PROGRAM), mode]
    for name, value in {**fixed, **options}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first, f"{process.stderr.read()}\n{server.log_text()[-3000:]}"
        yield process, [json.loads(first)]
    finally:
        process.kill()
        process.communicate()
