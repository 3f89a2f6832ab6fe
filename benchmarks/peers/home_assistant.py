"""Home Assistant's recorder on SQLite, the way most of its users have it; see home_assistant_hub.py for what runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from benchmarks.peers.peer import Answer, Peer, PeerMissing
from benchmarks.peers.program import UNPACKED, running
from benchmarks.peers.web import Web
from benchmarks.peers.workload import ReadingSet, Workload
from roost.core.clock import rfc3339_from_ms
from tests.postgres_cluster import free_port
from tests.waiting import wait_until

# It would take half an hour for all devices of the day.
_SHARE = 12
# It commits every five seconds; here as many states at once as a large household has in that time, since the time of a
# commit grows with the square of how often a sensor is in it.
_ROWS_AT_ONCE = 25


class HomeAssistant(Peer):
    """States of sensors: a state for each value that differs from the one before."""

    name = "Home Assistant"
    transport = "a view inside it, JSON, 500 states a request"
    promise = "in memory: committed every five seconds, synced at checkpoints"
    questions = ("day",)
    remark = (
        "Without its web app, and with a twelfth of the devices. It answers with all states of the day, since it"
        " gathers none; of a year it keeps hourly statistics, and no question goes over many devices."
    )

    def __init__(self, workload: Workload, version: str, pid: int, web: Web, folder: Path) -> None:
        super().__init__(workload, version)
        self._pid, self._web, self._folder = pid, web, folder
        self._devices = max(1, workload.day.devices // _SHARE)

    @property
    def pids(self) -> list[int]:
        return [self._pid]

    def ingest(self, readings: ReadingSet) -> int:
        series = [
            (_entity_id(key, device), moments, values)
            for device in range(self._devices)
            for moments, columns in [readings.walk(device)]
            for key, values in zip(readings.keys, columns, strict=True)
        ]
        for start in range(0, readings.rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            states = [
                (entity_id, moment, value)
                for entity_id, moments, values in series
                for moment, value in zip(moments[part].tolist(), values[part].tolist(), strict=True)
            ]
            self._web.post("/api/readings", json.dumps(states).encode())
        return readings.points * self._devices // readings.devices

    def settle(self) -> None:
        self.wait_for_rest()

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("home-assistant_v2.db*"))

    def day(self, device: int, series: int) -> Answer:
        """All states of the day, since it does not gather them into buckets; who draws a chart does."""
        day = self.workload.day
        entity_id = _entity_id(day.keys[series], device % self._devices)
        start = quote(rfc3339_from_ms(day.end - day.span))
        reply = self._web.get(
            f"/api/history/period/{start}", filter_entity_id=entity_id, end_time="2100-01-01T00:00:00Z",
            significant_changes_only=0, no_attributes="", minimal_response="",
        )  # fmt: skip
        states = json.loads(reply.body)[0]
        assert len(states) > day.rows * 0.8, f"Only {len(states)} states of {day.rows} readings came back."
        return Answer(reply.ms, {})


@contextmanager
def home_assistant(workload: Workload) -> Iterator[HomeAssistant]:
    """A new Home Assistant.

    Raises:
        PeerMissing: it could not be installed.
    """
    python = UNPACKED / "home-assistant" / "bin" / "python"
    if not (UNPACKED / "home-assistant" / ".installed").exists():
        raise PeerMissing("Home Assistant is not here: 2024.3 or one of the packages it needs could not be had.")
    with TemporaryDirectory(prefix="roost-peer-") as name:
        folder, port = Path(name), free_port()
        script = Path(__file__).with_name("home_assistant_hub.py")
        with running([python, "-P", script, folder, str(port)], folder, port=port) as pid:
            token = wait_until(lambda: _token(folder), 60, what="A token of Home Assistant")
            web = Web(port, {"Authorization": f"Bearer {token}"})
            version = json.loads(web.get("/api/config").body)["version"]
            yield HomeAssistant(workload, version, pid, web, folder)
            web.close()


def _token(folder: Path) -> str:
    path = folder / "token"
    return path.read_text() if path.exists() else ""


def _entity_id(key: str, device: int) -> str:
    return f"sensor.d{device}_{key}"
