"""Minutes of ingest with sealing beside it: whether the rate holds and memory stays where it is."""

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.cases import Pace
from benchmarks.generator import started_generator
from benchmarks.processes import tree_cpu_s, tree_memory_mib
from benchmarks.server import measured_server, register_fleet, register_owner
from roost.telemetry.blocks.inspection import sizes
from tests.roost_server import RoostServer

_BLOCKS = 24
_SAMPLE_S = 3


def measure_sustained(pace: Pace, connections: int, window: int) -> dict[str, Any]:
    """QoS 1 for ten minutes (quick: a minute); sealing included in what the messages cost."""
    with measured_server(ROOST_HOST_DEVICE="false") as server:
        fleet = register_fleet(server, register_owner(server), connections)
        used = tree_cpu_s(server.pid)
        with started_generator(
            "mqtt", server, fleet, blocks=_BLOCKS * pace.blocks, block_s=pace.block_s, window=window
        ) as (process, _):
            began, hub, all_of_it = time.perf_counter(), list[float](), list[float]()
            while process.poll() is None:
                hub.append(psutil.Process(server.pid).memory_info().rss / 2**20)
                all_of_it.append(tree_memory_mib(server.pid))
                time.sleep(_SAMPLE_S)
            took_s = time.perf_counter() - began
            output, errors = process.communicate()
            assert process.returncode == 0, errors
        used = tree_cpu_s(server.pid) - used
        server.stop()
        sealing_s, sealing_cpu_s = _seal_the_rest(server)
        kept = _kept(server.data_dir / "telemetry")
    *blocks, total = map(json.loads, output.splitlines())
    assert total["refused"] == total["lost_connections"] == 0, total
    assert total["acked"] <= kept["stored"] <= total["sent"], (total, kept)
    quarter = max(1, len(blocks) // 4)
    rates = [block["acked"] / block["seconds"] for block in blocks]
    return {
        "minutes": round(took_s / 60, 1),
        "messages_per_cpu_s": round(total["acked"] / (used + sealing_cpu_s)),
        "messages_per_s": round(median(rates)),
        "messages_per_s_first_quarter": round(median(rates[:quarter])),
        "messages_per_s_last_quarter": round(median(rates[-quarter:])),
        "ack_p99_ms": round(median(block["ack_p99_ms"] for block in blocks), 2),
        "acknowledged": total["acked"],
        "rss_first_quarter_mib": round(median(hub[: max(1, len(hub) // 4)]), 1),
        "rss_last_quarter_mib": round(median(hub[-max(1, len(hub) // 4) :]), 1),
        "memory_most_mib": round(max(all_of_it), 1),
        "sealing_behind_s": round(sealing_s, 1),
        **kept,
        "blocks": blocks,
    }


def _seal_the_rest(server: RoostServer) -> tuple[float, float]:
    """What sealing had not come to yet: seconds, and seconds of CPU time."""
    began, before = time.perf_counter(), os.times()
    done = server.run_command("telemetry", "seal", timeout_s=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, used


def _kept(folder: Path) -> dict[str, int]:
    """Messages in blocks and altogether, and the bytes they take up."""
    found = list(sizes(folder))
    return {
        "sealed": sum(size.messages for size in found if size.name.startswith("blocks")),
        "stored": sum(size.messages for size in found),
        "mib_on_disk": sum(size.bytes for size in found) >> 20,
    }
