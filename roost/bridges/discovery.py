"""How Home Assistant hears of devices: MQTT discovery with one message a device. Pure functions.

After https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery (device discovery, Home Assistant 2024.11).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

import roost
from roost.bridges.broker_topics import availability_topic, presence_topic, state_topic
from roost.devices.models import Device
from roost.telemetry.messages import Value

COMPONENTS = 100
"""A device with more series is announced with so many of them, by name."""

_encode = msgspec.json.Encoder().encode
# Units to what Home Assistant calls the quantity; a unit that several have is not enough to tell.
_QUANTITIES = {
    "°C": "temperature", "°F": "temperature", "K": "temperature", "hPa": "pressure", "mbar": "pressure",
    "Pa": "pressure", "kPa": "pressure", "lx": "illuminance", "V": "voltage", "mV": "voltage", "A": "current",
    "mA": "current",
    "W": "power", "kW": "power", "Wh": "energy", "kWh": "energy", "dBm": "signal_strength", "dB": "sound_pressure",
    "ppm": "carbon_dioxide", "µg/m³": "pm25", "Hz": "frequency", "VA": "apparent_power", "km/h": "speed",
    "m/s": "speed",
}  # fmt: skip
# The last word of a key, for those who send no units.
_BY_KEY = {
    "temp": ("temperature", "°C"), "temperature": ("temperature", "°C"), "temp_c": ("temperature", "°C"),
    "humidity": ("humidity", "%"), "hum": ("humidity", "%"), "battery": ("battery", "%"),
    "battery_pct": ("battery", "%"), "pressure_hpa": ("pressure", "hPa"), "rssi": ("signal_strength", "dBm"),
    "co2": ("carbon_dioxide", "ppm"), "illuminance": ("illuminance", "lx"), "lux": ("illuminance", "lx"),
    "voltage": ("voltage", "V"), "power_w": ("power", "W"), "energy_kwh": ("energy", "kWh"),
}  # fmt: skip
_EVER_GROWING = frozenset({"energy"})


def config_payload(
    client_id: str, device: Device, values: Mapping[str, Value], units: Mapping[str, str], public_url: str | None
) -> bytes:
    """What a device is and measures, with the newest values' types. Every id is the same for ever."""
    about: dict[str, Any] = {
        "identifiers": [f"{client_id}-{device.id}"],
        "name": device.name,
        "serial_number": device.device_uid,
    }
    if device.type is not None:
        about["model"] = device.type
    if device.firmware_version is not None:
        about["sw_version"] = device.firmware_version
    origin = {"name": "Roost", "sw_version": roost.__version__}
    if public_url is not None:
        about["configuration_url"] = f"{public_url}/app/devices/{device.id}"
        origin["support_url"] = public_url
    return _encode(
        {
            "device": about,
            "origin": origin,
            "components": {
                _slug(key): _component(client_id, device.id, key, values[key], units.get(key))
                for key in sorted(values)[:COMPONENTS]
            },
            "state_topic": state_topic(client_id, device.id),
            "availability": [
                {"topic": availability_topic(client_id)},
                {"topic": presence_topic(client_id, device.id)},
            ],
            "availability_mode": "all",
            "qos": 1,
        }
    )  # fmt: skip


def state_payload(values: Mapping[str, Value]) -> bytes:
    """The newest value of every series."""
    return _encode(values)


def _component(client_id: str, device_id: int, key: str, value: Value, unit: str | None) -> dict[str, Any]:
    unique_id = f"{client_id}-{device_id}-{_slug(key)}"
    component: dict[str, Any] = {"unique_id": unique_id, "name": _name(key)}
    place = f"value_json[{_quoted(key)}]"
    if isinstance(value, bool):
        return component | {"platform": "binary_sensor", "value_template": f"{{{{ 'ON' if {place} else 'OFF' }}}}"}
    component |= {"platform": "sensor", "value_template": f"{{{{ {place} }}}}"}
    quantity, usual_unit = _BY_KEY.get(key.rpartition(".")[2].lower(), (None, None))
    if unit is not None:
        quantity = _QUANTITIES.get(unit, quantity if unit == usual_unit else None)
    unit = unit or usual_unit
    if unit is not None:
        component["unit_of_measurement"] = unit
        component["state_class"] = "total_increasing" if quantity in _EVER_GROWING else "measurement"
    if quantity is not None:
        component["device_class"] = quantity
    return component


def _slug(key: str) -> str:
    """The key in letters that every broker and Home Assistant take, different for different keys."""
    return "".join(one if one.isascii() and one.isalnum() else f"_{ord(one):x}_" for one in key)


def _name(key: str) -> str:
    return key.replace("_", " ").replace(".", " ").strip() or key


def _quoted(key: str) -> str:
    """The key as a text within a template."""
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    # Jinja would take these for its own, within a text, too.
    return "'" + escaped.replace("{", "\\x7b").replace("}", "\\x7d").replace("%", "\\x25") + "'"
