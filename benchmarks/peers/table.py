"""The table of peers, for people and for programs."""

import json
from pathlib import Path
from typing import Any

from benchmarks.peers.workload import Workload

_RESULTS = Path(__file__).parents[1] / "results"
_ROWS = {
    "version": "version",
    "transport": "readings come by",
    "promise": "acknowledged means",
    "points": "points handed in",
    "points_per_cpu_s": "points per CPU-second, flushing and compaction included",
    "points_per_s": "points per second until acknowledged",
    "bytes_per_point": "bytes per point on the disk, compacted",
    "day": "24 h of a series, ms",
    "year": "a year of a series, ms",
    "week": "a week of {devices:,} devices, ms",
    "memory_mib": "memory afterwards (PSS), MiB",
    "load_average": "load average before and after",
}


def write(machine: dict[str, Any], work: Workload, results: dict[str, dict[str, Any]]) -> Path:
    """Write peers.json and peers.md to benchmarks/results; return the path of the table."""
    _RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "results": results}
    (_RESULTS / "peers.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    path = _RESULTS / "peers.md"
    path.write_text("\n".join(_lines(machine, work, results)) + "\n")
    return path


def _lines(machine: dict[str, Any], work: Workload, results: dict[str, dict[str, Any]]) -> list[str]:
    day, year, week = work.sets
    names = list(results)
    lines = [
        "# Roost and its peers",
        "",
        f"{machine['measured_at']}, commit {machine['commit']}: {machine['processor']}, {machine['cores']} cores,"
        f" {machine['memory_gib']} GiB, {machine['kernel']}; an fsync of 4 KiB takes {machine['fsync_ms']} ms. `make"
        " bench BENCH=peers`; one after the other, each with all of its processes on one core, the load on another.",
        "",
        f"Five series a device, random walks with two decimals. Ingest, size: {day.devices} devices, a day at 10 s ±"
        f" 50 ms. Questions, p50 / p99 of warm answers, each checked: the day of one of these in {day.span // 180_000}"
        f" averages, a year of {year.rows:,} readings in 500 averages, one average of a week of {week.devices:,}"
        f" devices with {week.rows} readings each.",
        "",
        "| | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row, title in _ROWS.items():
        cells = " | ".join(_cell(results[name], row) for name in names)
        lines.append(f"| {title.format(devices=week.devices)} | {cells} |")
    remarks = [f"- {name}: {figures.get('missing') or figures['remark']}" for name, figures in results.items()]
    return [*lines, "", *remarks]


def _cell(figures: dict[str, Any], row: str) -> str:
    if "missing" in figures:
        return "missing"
    if row in ("day", "year", "week"):
        if f"{row}_p50_ms" not in figures:
            return "–"
        return f"{figures[f'{row}_p50_ms']:,} / {figures[f'{row}_p99_ms']:,}"
    value = figures[row]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else f"{value:,}"
