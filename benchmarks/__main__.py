"""`make bench`: run all measurements, or those whose name holds a word: `make bench BENCH="mqtt --quick"`."""

import argparse
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import cases, growth, history, many, tasks
from benchmarks.machine import describe_machine
from benchmarks.peers.comparison import measure_peers
from benchmarks.report import record
from benchmarks.server import LOAD_CORE, SERVER_CORE
from benchmarks.sustained import measure_sustained

CASES: dict[str, Callable[[cases.Pace], dict[str, Any]]] = {
    "start": cases.measure_start,
    "idle cpu": cases.measure_idle_cpu,
    "mqtt, 1,000 connections, window 10": partial(cases.measure_mqtt, connections=1_000, window=10),
    "mqtt, 1,000 connections, window 1": partial(cases.measure_mqtt, connections=1_000, window=1),
    "mqtt, 5,000 connections, window 10": partial(cases.measure_mqtt, connections=5_000, window=10),
    "mqtt, 5,000 connections, window 1": partial(cases.measure_mqtt, connections=5_000, window=1),
    "http, single messages": partial(cases.measure_http, batch=1),
    "http, batches of 100": partial(cases.measure_http, batch=100),
    "10,000 idle mqtt devices": partial(cases.measure_idle_devices, connections=10_000),
    "nats and postgresql, 1,000 connections, window 10": partial(
        many.measure_many, connections=1_000, window=10, workers=1
    ),
    **{
        f"history, {points} million points, {devices:,} devices": partial(
            history.measure_history, points=points * 1_000_000, devices=devices
        )
        for points, devices in growth.GRID
    },
    "authorization, sqlite": partial(cases.measure_authorization, database="sqlite"),
    "authorization, postgresql": partial(cases.measure_authorization, database="postgresql"),
    "sustained, 1,000 connections, window 10": partial(measure_sustained, connections=1_000, window=10),
    "peers": measure_peers,
    "tasks, poll and complete": tasks.measure_cycles,
    "tasks, from order to device": tasks.measure_way,
    "tasks, one for 10,000 connected devices": partial(tasks.measure_fleet, connections=10_000),
    "live latency": partial(cases.measure_live_latency, connections=1_000),
}


def main() -> int:
    """Run the wanted cases; each replaces its row in benchmarks/results/latest.*, unless it was a quick one."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("words", nargs="*", help="run only cases whose name holds one of these")
    parser.add_argument("--quick", action="store_true", help="one block of two seconds, to see that it works")
    options = parser.parse_args()
    if sys.platform != "linux":
        print("The load generator is built on epoll: measure on Linux.", file=sys.stderr)
        return 1
    pace = cases.Pace(blocks=1, block_s=2) if options.quick else cases.Pace(blocks=5, block_s=5)
    wanted = {name: run for name, run in CASES.items() if not options.words or any(w in name for w in options.words)}
    if not wanted:
        print(f"No case has such a name; there are: {'; '.join(CASES)}.", file=sys.stderr)
        return 1
    _allow_many_files()
    # Whoever ends this ends its servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if SERVER_CORE == LOAD_CORE:
        print("There is only one core: the load takes time away from the server, and the figures are too low.")
    # What this process does itself must not happen on the server's core.
    os.sched_setaffinity(0, {LOAD_CORE})
    results: dict[str, dict[str, Any]] = {}
    for name, run in wanted.items():
        with tempfile.TemporaryDirectory() as folder:
            machine = describe_machine(Path(folder))
        results[name] = run(pace)
        shown = {key: value for key, value in results[name].items() if key != "blocks"}
        print(f"{name}: {shown}", flush=True)
        table = record(machine, asdict(pace), name, results[name], "quick" if options.quick else "latest")
        growth.write_growth(machine, results)
    print(table)
    return 0


def _allow_many_files() -> None:
    """Servers inherit the limit: 10,000 connections are 10,000 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
