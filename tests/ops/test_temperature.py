"""The sources of temperature, as boards of several kinds have them."""

from pathlib import Path

import psutil
import pytest

from roost.ops import temperature
from roost.ops.temperature import processor_temperature_c, throttling


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with none of the sources, so that each test adds its own."""
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    monkeypatch.setattr(temperature, "FIRMWARE_THROTTLING", tmp_path / "get_throttled")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def add_zone(folder: Path, number: int, kind: str, text: str) -> None:
    zone = folder / f"thermal_zone{number}"
    zone.mkdir(parents=True)
    (zone / "type").write_text(kind + "\n")
    (zone / "temp").write_text(text + "\n")


def add_vcgencmd(tmp_path: Path, answer: str) -> None:
    program = tmp_path / "bin" / "vcgencmd"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)


def test_a_machine_without_a_sensor_answers_none(tmp_path: Path) -> None:
    assert processor_temperature_c(tmp_path) is None
    assert throttling() is None


def test_the_processors_zone_is_found_among_others(tmp_path: Path) -> None:
    add_zone(tmp_path, 0, "battery", "31000")
    add_zone(tmp_path, 1, "cpu-thermal", "48312")
    add_zone(tmp_path, 2, "gpu-thermal", "broken")
    assert processor_temperature_c(tmp_path) == 48.3


@pytest.mark.parametrize("text", ["0", "-273000", "999000", "", "warm"])
def test_values_that_no_processor_has_are_none(tmp_path: Path, text: str) -> None:
    add_zone(tmp_path, 0, "x86_pkg_temp", text)
    assert processor_temperature_c(tmp_path) is None


def test_a_raspberry_pi_is_asked_through_its_own_tool(tmp_path: Path) -> None:
    add_vcgencmd(tmp_path, 'if [ "$1" = measure_temp ]; then echo "temp=45.2\'C"; else echo "throttled=0x50005"; fi')
    assert processor_temperature_c(tmp_path / "none") == 45.2
    limits = throttling()
    assert limits is not None
    assert limits.raw == "0x50005"
    assert {name for name, flag in limits.flags.items() if flag.active} == {"undervoltage", "throttled"}
    assert {name for name, flag in limits.flags.items() if flag.occurred} == {"undervoltage", "throttled"}


def test_the_kernels_word_spares_the_tool(tmp_path: Path) -> None:
    (tmp_path / "get_throttled").write_text("20000\n")
    limits = throttling()
    assert limits is not None
    assert limits.raw == "0x20000"
    assert [name for name, flag in limits.flags.items() if flag.occurred] == ["freq_capped"]
    assert not any(flag.active for flag in limits.flags.values())


def test_a_tool_that_fails_is_no_sensor(tmp_path: Path) -> None:
    add_vcgencmd(tmp_path, "exit 1")
    assert processor_temperature_c(tmp_path / "none") is None
    assert throttling() is None
