"""Devices that do not exist, and the values they would send: kinds of sensors whose readings move as real ones do."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

DAY_S = 86_400
SEQUENCE_KEY = "sequence"


@dataclass(slots=True)
class Walk:
    """A value that wanders around a daily curve without leaving its range."""

    middle: float
    swing: float
    noise: float
    low: float
    high: float
    decimals: int = 1
    offset: float = 0.0

    def at(self, moment_s: float, chance: random.Random) -> float:
        """The value at a time of day: coldest before dawn, warmest in the afternoon."""
        daily = -self.swing * math.cos(2 * math.pi * (moment_s % DAY_S / DAY_S - 0.17))
        self.offset = 0.98 * self.offset + chance.gauss(0.0, self.noise)
        value = min(self.high, max(self.low, self.middle + daily + self.offset))
        return round(value, self.decimals)


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of device: its type and name for the registry, and the series that it sends."""

    type: str
    name: str
    walks: dict[str, Walk]
    switches: dict[str, float] = field(default_factory=dict)


KINDS = (
    Kind(
        "climate",
        "Climate sensor",
        {
            "temperature_c": Walk(21.0, 2.5, 0.08, -20, 45),
            "humidity_percent": Walk(48.0, 6.0, 0.3, 5, 95),
            "battery_v": Walk(2.95, 0.01, 0.002, 2.0, 3.3, decimals=3),
        },
    ),
    Kind(
        "meter",
        "Power meter",
        {
            "power_w": Walk(420.0, 260.0, 35.0, 0, 9000),
            "voltage_v": Walk(230.0, 1.5, 0.25, 207, 253),
            "frequency_hz": Walk(50.0, 0.0, 0.005, 49.5, 50.5, decimals=3),
        },
    ),
    Kind(
        "air",
        "Air quality sensor",
        {
            "co2_ppm": Walk(720.0, 180.0, 9.0, 400, 5000, decimals=0),
            "pm25_ug_m3": Walk(9.0, 3.0, 0.4, 0, 500),
            "temperature_c": Walk(22.0, 1.5, 0.05, -20, 45),
        },
    ),
    Kind(
        "motion",
        "Motion sensor",
        {"illuminance_lx": Walk(180.0, 160.0, 8.0, 0, 20_000, decimals=0)},
        switches={"motion": 0.12},
    ),
)


@dataclass(slots=True)
class SimulatedDevice:
    """One device: who it is to the hub, and where its values are."""

    number: int
    uid: str
    device_id: int
    token: str
    chance: random.Random
    sequence: int = 0
    connected: bool = False
    walks: dict[str, Walk] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What sort of device it is; neighbours differ."""
        return KINDS[self.number % len(KINDS)]

    def next_payload(self, moment_s: float) -> dict[str, Any]:
        """The values of this moment, with a sequence number by which each message can be found again."""
        if not self.walks:
            self.walks = {key: _copy(walk, self.chance) for key, walk in self.kind.walks.items()}
        self.sequence += 1
        payload: dict[str, Any] = {key: walk.at(moment_s, self.chance) for key, walk in self.walks.items()}
        for key, probability in self.kind.switches.items():
            payload[key] = self.chance.random() < probability
        payload[SEQUENCE_KEY] = self.sequence
        return payload


def uid_of(number: int, prefix: str) -> str:
    """The uid of the n-th simulated device."""
    return f"{prefix}-{number:05d}"


def kind_of(number: int) -> Kind:
    """The kind of the n-th simulated device."""
    return KINDS[number % len(KINDS)]


def _copy(walk: Walk, chance: random.Random) -> Walk:
    middle = walk.middle + chance.uniform(-0.5, 0.5) * walk.swing
    return Walk(middle, walk.swing, walk.noise, walk.low, walk.high, walk.decimals)
