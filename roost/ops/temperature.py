"""The processor's temperature and the Raspberry Pi's throttling flags, from whichever source this machine has.

Sources, in this order: psutil's sensors, `/sys/class/thermal`, `vcgencmd`. A machine with none of them (most virtual
machines, macOS) answers None, never a made-up number. All of it blocks for some milliseconds: call it in a thread.
"""

import re
import shutil
import subprocess  # nosec B404
from dataclasses import dataclass
from pathlib import Path

import psutil

THERMAL_ZONES = Path("/sys/class/thermal")
FIRMWARE_THROTTLING = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD_TIMEOUT_S = 2.0

# Names that mean "the processor", best first; boards also list disks, batteries and radios.
PROCESSOR_SENSORS = (
    "cpu_thermal",
    "coretemp",
    "k10temp",
    "zenpower",
    "cpu-thermal",
    "soc_thermal",
    "soc-thermal",
    "x86_pkg_temp",
    "acpitz",
)

# Bit of each flag in the firmware's answer; the same flag 16 bits higher means "since the last boot".
THROTTLING_BITS = {"undervoltage": 0, "freq_capped": 1, "throttled": 2, "soft_temp_limit": 3}
OCCURRED_SHIFT = 16


@dataclass(frozen=True, slots=True)
class ThrottlingFlag:
    """Whether a limit is in force now, and whether it ever was since the last boot."""

    active: bool
    occurred: bool


@dataclass(frozen=True, slots=True)
class Throttling:
    """What the firmware says about power and heat: the raw hexadecimal word and its flags by name."""

    raw: str
    flags: dict[str, ThrottlingFlag]


def processor_temperature_c(thermal_zones: Path = THERMAL_ZONES) -> float | None:
    """The processor's temperature in °C, or None where the machine has no sensor."""
    for source in (_from_psutil, lambda: _from_thermal_zones(thermal_zones), _from_vcgencmd):
        value = source()
        if value is not None and _plausible(value):
            return round(value, 1)
    return None


def throttling() -> Throttling | None:
    """The Raspberry Pi firmware's throttling word, or None on every other machine."""
    word = _throttling_word()
    if word is None:
        return None
    flags = {
        name: ThrottlingFlag(active=bool(word >> bit & 1), occurred=bool(word >> (bit + OCCURRED_SHIFT) & 1))
        for name, bit in THROTTLING_BITS.items()
    }
    return Throttling(raw=hex(word), flags=flags)


def _plausible(celsius: float) -> bool:
    # Unconnected sensors answer 0, -273 or the largest number that their register holds.
    return -40.0 < celsius < 150.0 and celsius != 0.0


def _from_psutil() -> float | None:
    sample = getattr(psutil, "sensors_temperatures", None)
    if sample is None:  # macOS, Windows
        return None
    try:
        chips = sample()
    except (OSError, RuntimeError, ValueError):
        return None
    for name in PROCESSOR_SENSORS:
        values = [entry.current for entry in chips.get(name, ()) if entry.current is not None]
        plausible = [float(value) for value in values if _plausible(value)]
        if plausible:
            return max(plausible)
    return None


def _from_thermal_zones(zones: Path) -> float | None:
    found: dict[str, float] = {}
    for zone in sorted(zones.glob("thermal_zone*")):
        try:
            kind = (zone / "type").read_text(encoding="ascii").strip()
            found.setdefault(kind, int((zone / "temp").read_text(encoding="ascii")) / 1000)
        except (OSError, ValueError):  # zones of switched-off parts answer with an input/output error
            continue
    named = [found[name] for name in PROCESSOR_SENSORS if name in found and _plausible(found[name])]
    others = [value for kind, value in found.items() if "cpu" in kind and _plausible(value)]
    return next(iter(named + others), None)


def _from_vcgencmd() -> float | None:
    answer = _vcgencmd("measure_temp")
    match = re.search(r"temp=([\d.]+)", answer) if answer else None
    return float(match.group(1)) if match else None


def _throttling_word() -> int | None:
    try:
        return int(FIRMWARE_THROTTLING.read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        answer = _vcgencmd("get_throttled")
    match = re.search(r"throttled=(0x[0-9a-fA-F]+)", answer) if answer else None
    return int(match.group(1), 16) if match else None


def _vcgencmd(command: str) -> str | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        # The program found above and a constant: no shell, nothing from outside.
        done = subprocess.run(  # noqa: S603 # nosec B603
            [program, command], capture_output=True, text=True, timeout=VCGENCMD_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
