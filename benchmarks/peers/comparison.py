"""One peer after the other: the same readings in, the same questions asked, and a table of what came of it."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import isclose
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cases import Pace
from benchmarks.machine import describe_machine
from benchmarks.peers import table
from benchmarks.peers.home_assistant import HomeAssistant, home_assistant
from benchmarks.peers.homemade import HomeMade, home_made
from benchmarks.peers.influxdb import InfluxDB, influxdb
from benchmarks.peers.peer import Answer, Peer, PeerMissing
from benchmarks.peers.roost_hub import Roost, RoostOverMqtt, roost, roost_over_mqtt
from benchmarks.peers.victoriametrics import VictoriaMetrics, victoriametrics
from benchmarks.peers.workload import DAY_BUCKET_MS, SERIES, YEAR_BUCKET_MS, Averages, Workload, workload
from benchmarks.server import CORES

PEERS: dict[type[Peer], Callable[[Workload], AbstractContextManager[Peer]]] = {
    Roost: roost,
    RoostOverMqtt: roost_over_mqtt,
    InfluxDB: influxdb,
    VictoriaMetrics: victoriametrics,
    HomeMade: home_made,
    HomeAssistant: home_assistant,
}
_TOLERANCE = 1e-6


def measure_peers(pace: Pace) -> dict[str, Any]:
    """Points per CPU-second of each; all figures go to benchmarks/results/peers.md, those of a quick run nowhere."""
    subprocess.run([Path(__file__).with_name("get-peers")], check=True)
    work = workload(quick=pace.blocks == 1)
    results: dict[str, dict[str, Any]] = {}
    for kind, start in PEERS.items():
        began = time.perf_counter()
        try:
            with start(work) as peer:
                results[kind.name] = _measure(peer, repeats=20 * pace.blocks)
        except PeerMissing as missing:
            results[kind.name] = {"missing": str(missing)}
        results[kind.name]["took_s"] = round(time.perf_counter() - began)
        print(f"  {kind.name}: {results[kind.name]}", flush=True)
    if pace.blocks > 1:
        with TemporaryDirectory() as folder:
            # This process has been put on one core by now.
            table.write(describe_machine(Path(folder)) | {"cores": len(CORES)}, work, results)
    return {name: figures.get("points_per_cpu_s", "missing") for name, figures in results.items()}


def _measure(peer: Peer, *, repeats: int) -> dict[str, Any]:
    work = peer.workload
    load_before = os.getloadavg()[0]
    used, began = peer.cpu_s(), time.perf_counter()
    points = peer.ingest(work.day)
    took_s = time.perf_counter() - began
    peer.settle()
    used = peer.cpu_s() - used
    figures: dict[str, Any] = {
        "version": peer.version,
        "transport": peer.transport,
        "promise": peer.promise,
        "remark": peer.remark,
        "points": points,
        "points_per_cpu_s": round(points / used),
        "points_per_s": round(points / took_s),
        "bytes_per_point": round(_size(peer) / points, 2),
    }
    history = [each for each in (work.year, work.week) if each.name in peer.questions]
    for each in history:
        peer.load(each)
    if history:
        peer.settle()
    for question in peer.questions:
        figures |= _percentiles(question, _ASKED[question](peer, repeats))
    return figures | {
        "memory_mib": round(peer.memory_mib()),
        "load_average": [round(load_before, 1), round(os.getloadavg()[0], 1)],
    }


def _size(peer: Peer) -> int:
    """After everything has its place on the disk: until then a file may seem to take up none."""
    os.sync()
    return peer.size_bytes()


def _ask_for_days(peer: Peer, repeats: int) -> list[float]:
    day = peer.workload.day
    times = []
    for number in range(repeats + 1):
        device, series = number % day.devices, number % SERIES
        answer = peer.day(device, series)
        _check(peer, answer, day.averages(device, series, DAY_BUCKET_MS))
        times.append(answer.ms)
    return times


def _ask_for_years(peer: Peer, repeats: int) -> list[float]:
    expected = [peer.workload.year.averages(0, series, YEAR_BUCKET_MS) for series in range(SERIES)]
    times = []
    for number in range(repeats // 2 + 1):
        answer = peer.year(number % SERIES)
        _check(peer, answer, expected[number % SERIES])
        times.append(answer.ms)
    return times


def _ask_for_weeks(peer: Peer, repeats: int) -> list[float]:
    week = peer.workload.week
    expected = [{week.end - week.span: average} for average in week.average_of_all()]
    times = []
    for number in range(repeats // 5 + 1):
        answer = peer.week(number % SERIES)
        _check(peer, answer, expected[number % SERIES])
        times.append(answer.ms)
    return times


_ASKED = {"day": _ask_for_days, "year": _ask_for_years, "week": _ask_for_weeks}


def _check(peer: Peer, answer: Answer, expected: Averages) -> None:
    """A quick answer that is wrong would be no figure."""
    if not answer.averages:  # the peer gives readings only
        return
    assert answer.averages.keys() == expected.keys(), f"{peer.name} answers with other buckets."
    for start, average in expected.items():
        found = answer.averages[start]
        assert isclose(found, average, rel_tol=_TOLERANCE), f"{peer.name} says {found} at {start} instead of {average}."


def _percentiles(question: str, times: list[float]) -> dict[str, float]:
    """Without the first, which finds nothing prepared."""
    rest = sorted(times[1:])
    return {
        f"{question}_first_ms": round(times[0], 1),
        f"{question}_p50_ms": round(median(rest), 1),
        f"{question}_p99_ms": round(rest[int(0.99 * (len(rest) - 1) + 0.5)], 1),
    }
