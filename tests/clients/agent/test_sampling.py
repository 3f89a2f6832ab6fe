import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roost_device.agent.sampling import HostSampler, Samplers, plugged_in


def test_a_machine_measures_itself(tmp_path: Path) -> None:
    sample = HostSampler(tmp_path)()
    assert 0 <= sample["memory_percent"] <= 100
    assert sample["uptime_h"] > 0
    assert {"cpu_percent", "load_1m", "disk_free_gb", "agent_rss_mb"} <= set(sample)
    json.dumps(sample, allow_nan=False)


def test_a_plug_in_that_fails_takes_nothing_away_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    working = True

    def soil() -> Mapping[str, Any]:
        if not working:
            raise OSError("The bus is silent.")
        return {"moisture": 31}

    samplers = Samplers({"host": lambda: {"load_1m": 0.5}, "soil": soil, "odd": lambda: {"n": float("nan")}})
    assert samplers.sample() == {"load_1m": 0.5, "soil": {"moisture": 31}}
    working = False
    assert samplers.sample() == samplers.sample() == {"load_1m": 0.5}
    assert sum("The bus is silent." in record.message for record in caplog.records) == 1


def test_functions_and_programs_are_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greenhouse_sensors.py").write_text("def read():\n    return {'lux': 900}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    samplers = plugged_in(["greenhouse_sensors:read"], {"tank": "echo '{\"level\": 0.5}'"})
    assert Samplers(samplers).sample() == {"greenhouse_sensors": {"lux": 900}, "tank": {"level": 0.5}}


@pytest.mark.parametrize("place", ["no_such_module:read", "json:no_such_function", "json"])
def test_a_plug_in_that_is_not_there_stops_the_start(place: str) -> None:
    with pytest.raises(ValueError, match="module:function"):
        plugged_in([place], {})
