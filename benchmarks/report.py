"""Writing the results: JSON with everything, and a table for people."""

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import described

_RESULTS = Path(__file__).parent / "results"
_NAMES = {
    "messages_per_cpu_s": "messages per server CPU-second",
    "messages_per_s": "messages per second",
    "ack_p50_ms": "acknowledgement p50, ms",
    "ack_p99_ms": "acknowledgement p99, ms",
    "rss_mib": "whole-process RSS, MiB",
    "kib_per_device": "KiB per device",
    "cpu_percent": "CPU, % of a core",
    "connect_s": "connecting, s",
    "fresh_start_s": "fresh start to first answer, s",
    "fresh_start_one_core_s": "fresh start with one core, s",
    "fresh_start_cpu_s": "CPU time of a fresh start, s",
    "settle_s": "until at rest again, s",
    "second_start_s": "second start, s",
    "background_messages_per_s": "other messages per second meanwhile",
    "p50_ms": "publish to frame p50, ms",
    "p99_ms": "publish to frame p99, ms",
    "max_ms": "publish to frame max, ms",
    "ingest_us_per_message": "CPU of a message over HTTP, µs",
    "ingest_us_without": "with its sender known beforehand, µs",
    "ingest_added_percent": "added by asking, %",
    "asking_us": "the asking alone, µs",
    "list_50_owner_added_ms": "added to a page of 50 for an owner, ms",
    "list_50_owner_ms": "that page, ms",
    "list_500_owner_added_ms": "to a page of 500, ms",
    "list_500_owner_ms": "that page, ms",
    "list_50_technician_of_50_homes_added_ms": "added to a page of 50 for a technician with 50 homes, ms",
    "list_50_technician_of_50_homes_ms": "that page, ms",
    "list_500_technician_of_50_homes_added_ms": "to a page of 500, ms",
    "list_500_technician_of_50_homes_ms": "that page, ms",
    "who_asks_ms": "from an access token to a principal, ms",
    "points": "points",
    "bytes_per_point": "bytes per point on disk",
    "sealed_points_per_cpu_s": "points sealed per CPU-second",
    "day_p50_ms": "24 hours of a series p50, ms",
    "day_p99_ms": "24 hours of a series p99, ms",
    "day_cpu_ms": "its CPU, ms",
    "year_p50_ms": "a year of a series in 500 buckets p50, ms",
    "year_p99_ms": "p99",
    "year_cpu_ms": "its CPU",
    "week_p50_ms": "a week of all devices in one bucket p50, ms",
    "week_p99_ms": "p99",
    "week_cpu_ms": "its CPU",
    "cut_week_p50_ms": "the same where its beginning cuts a block of each p50, ms",
    "cut_week_p99_ms": "p99",
    "cut_week_cpu_ms": "its CPU",
    "week_hourly_p50_ms": "the week in buckets of an hour p50, ms",
    "week_hourly_p99_ms": "p99",
    "week_hourly_cpu_ms": "its CPU",
    "devices": "devices",
    "load_average": "load average meanwhile",
    "exported_points_per_cpu_s": "points to Parquet per CPU-second",
    "minutes": "minutes",
    "messages_per_s_first_quarter": "in the first quarter",
    "messages_per_s_last_quarter": "in the last",
    "rss_first_quarter_mib": "RSS of the hub in the first quarter, MiB",
    "rss_last_quarter_mib": "in the last",
    "memory_most_mib": "most with the sealing child (PSS), MiB",
    "sealing_behind_s": "then until all closed slices were sealed, s",
    "sealed": "sealed",
    "mib_on_disk": "MiB on the disk at the end",
    "cycles_per_cpu_s": "cycles of poll and complete per CPU-second",
    "cycles_per_s": "cycles per second",
    "long_poll_p50_ms": "order to long poll p50, ms",
    "long_poll_p99_ms": "order to long poll p99, ms",
    "long_poll_after_answer_p50_ms": "since the order was answered p50, ms",
    "long_poll_after_answer_p99_ms": "p99",
    "mqtt_after_answer_p50_ms": "since the order was answered p50, ms",
    "mqtt_after_answer_p99_ms": "p99",
    "mqtt_p50_ms": "order to MQTT p50, ms",
    "mqtt_p99_ms": "order to MQTT p99, ms",
    "ordered_s": "ordered, s",
    "acknowledged_by_all_s": "completed by all, s",
    "bulk_cpu_s": "CPU of it, s",
    "acknowledged": "acknowledged",
    "stored": "found in the store",
    "stored_per_s": "from the PUBLISH to the row in PostgreSQL, messages per second",
    "behind_at_the_end_s": "then until all rows were there, s",
    "cpu_mqtt_us": "CPU of a message in `roost mqtt`, µs",
    "cpu_workers_us": "in `roost worker`",
    "cpu_nats_us": "in NATS",
    "cpu_postgres_us": "in PostgreSQL",
    "rss_mqtt_mib": "RSS of `roost mqtt`, MiB",
    "rss_worker_mib": "of `roost worker`",
}
_UNSHOWN = {"blocks", "asked_through_api", "rss_before_mib", "frames"}


def record(machine: dict[str, Any], pace: dict[str, Any], case: str, figures: dict[str, Any], name: str) -> Path:
    """Put what one case came to into `<name>.json` and the table beside it; return the path of the table.

    Every case has its own machine and time, so that one can be measured again without the others.
    """
    _RESULTS.mkdir(exist_ok=True)
    kept = _RESULTS / f"{name}.json"
    measured: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    measured[case] = {"machine": machine, "pace": pace, "figures": figures}
    kept.write_text(json.dumps(measured, indent=2) + "\n")
    table = _RESULTS / f"{name}.md"
    table.write_text(_markdown(measured))
    return table


def _markdown(measured: dict[str, dict[str, Any]]) -> str:
    newest = max(measured.values(), key=lambda case: str(case["machine"]["measured_at"]))
    lines = [
        "# What `make bench` measured",
        "",
        f"The newest of them: {described(newest['machine'])}",
        "",
        "The server on one core, the load on another; medians of"
        f" {newest['pace']['blocks']} blocks of {newest['pace']['block_s']} s where a case has blocks;"
        " SQLite, synchronous=FULL, no rate limit; QoS 1, 3 keys, about 75 bytes."
        " Every acknowledged message was found in the store, each once.",
        "",
        "| case | figures | measured | commit | load before |",
        "|---|---|---|---|---|",
    ]
    for case, found in measured.items():
        shown = [
            f"{_NAMES.get(key, key)}: {_number(value)}"
            for key, value in found["figures"].items()
            if key not in _UNSHOWN
        ]
        machine = found["machine"]
        when = f"{machine['measured_at'][:16]}Z | {machine['commit']} | {machine['load_average_before'][0]}"
        lines.append(f"| {case} | {'; '.join(shown)} | {when} |")
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    return f"**{value:,}**" if isinstance(value, int) else f"**{value}**"
