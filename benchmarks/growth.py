"""How the cost of questions grows with points and devices: a table and a drawing of what `history` has measured."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import described

# Millions of points, and devices: along each of the two from a middle that both pass.
GRID = ((1, 2_000), (10, 2_000), (100, 2_000), (10, 100), (10, 1_000), (10, 10_000))
_MIDDLE = (10, 2_000)
_RESULTS = Path(__file__).parent / "results"
_DRAWING = Path(__file__).parents[1] / "docs" / "images" / "history.svg"
_QUESTIONS = {
    "day": "24 hours of a series",
    "year": "a year of a series in 500 buckets",
    "week": "a week of all devices",
    "cut_week": "a week that cuts a block of each",
    "week_hourly": "a week of all, hourly",
}
_COLOURS = ("#0b7285", "#e8590c", "#2b8a3e", "#862e9c", "#495057")
_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL_W, _PANEL_H = 860, 400, 64, 40, 330, 270
_LOW_MS, _HIGH_MS = 1.0, 10_000.0

Figures = dict[str, Any]


class _Panel(NamedTuple):
    title: str
    axis: str
    cases: list[Figures]


def write_growth(machine: dict[str, Any], results: dict[str, Figures]) -> None:
    """Writes `results/history.md`, its JSON, and the drawing in the docs, if the whole grid has been measured."""
    by_place = {
        (round(found["points"] / 1e6), found["devices"]): found
        for name, found in results.items()
        if name.startswith("history")
    }
    if set(by_place) != set(GRID):
        return
    cases = [by_place[place] for place in GRID]
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / "history.json").write_text(json.dumps({"machine": machine, "cases": cases}, indent=2) + "\n")
    (_RESULTS / "history.md").write_text(_table(machine, cases))
    points = [by_place[place] for place in sorted(GRID) if place[1] == _MIDDLE[1]]
    devices = [by_place[place] for place in sorted(GRID, key=lambda place: place[1]) if place[0] == _MIDDLE[0]]
    panels = [
        _Panel(f"{_MIDDLE[1]:,} devices", "points", points),
        _Panel(f"{_MIDDLE[0]} million points", "devices", devices),
    ]
    _DRAWING.write_text(_drawing(panels))


def _table(machine: dict[str, Any], cases: Sequence[Figures]) -> str:
    names = [f"{title}: p50 / p99 / CPU" for title in _QUESTIONS.values()]
    columns = ["points", "devices", *names, "to Parquet, points per CPU-second", "bytes per point", "load average"]
    lines = [
        "# How the cost of questions grows",
        "",
        described(machine),
        "",
        "Milliseconds over HTTP; CPU is what the server's processes used for one question. A sixth of the points are of"
        " one device with a year behind it, the others of so many devices with a week.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for found in cases:
        cells = [
            f"{found['points']:,}", f"{found['devices']:,}",
            *(" / ".join(f"{found[f'{name}_{what}_ms']:,}" for what in ("p50", "p99", "cpu")) for name in _QUESTIONS),
            f"{found['exported_points_per_cpu_s']:,}", str(found["bytes_per_point"]), str(found["load_average"]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _drawing(panels: Sequence[_Panel]) -> str:
    """Both axes logarithmic; a line for each kind of question: what the processor had to do for one."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, _LEFT + number * (_PANEL_W + 90))
    for number, (title, colour) in enumerate(zip(_QUESTIONS.values(), _COLOURS, strict=True)):
        x, y = _LEFT + number % 3 * 260, _TOP + _PANEL_H + 58 + number // 3 * 18
        parts.append(f'<rect x="{x}" y="{y - 9}" width="12" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="{y}">{title}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: _Panel, left: float) -> list[str]:
    low, high = panel.cases[0][panel.axis], panel.cases[-1][panel.axis]

    def x_of(value: float) -> float:
        return left + _PANEL_W * math.log(value / low) / math.log(high / low)

    def y_of(ms: float) -> float:
        return _TOP + _PANEL_H * (1 - math.log(max(ms, _LOW_MS) / _LOW_MS) / math.log(_HIGH_MS / _LOW_MS))

    parts = [f'<text x="{left}" y="{_TOP - 16}" font-weight="bold">{panel.title}: CPU, ms, by {panel.axis}</text>']
    for power in range(round(math.log10(_LOW_MS)), round(math.log10(_HIGH_MS)) + 1):
        y = y_of(10**power)
        parts.append(f'<path d="M{left} {y:.1f}h{_PANEL_W}" stroke="#dee2e6"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for found in panel.cases:
        x = x_of(found[panel.axis])
        label = _short(found[panel.axis])
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _PANEL_H + 18}" text-anchor="middle">{label}</text>')
    for name, colour in zip(_QUESTIONS, _COLOURS, strict=True):
        places = [(x_of(found[panel.axis]), y_of(found[f"{name}_cpu_ms"])) for found in panel.cases]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    return parts


def _short(number: float) -> str:
    return f"{number / 1e6:.0f} M" if number > 5e5 else f"{number:,.0f}"
