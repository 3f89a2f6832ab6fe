"""What is set on the device itself, in a TOML file: nothing of it can be changed from the hub."""

import os
import socket
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/roost-agent.toml")
FOLDER = Path("/var/lib/roost-agent")
DANGEROUS = frozenset({"reboot", "shell"})

_TEMPLATE = """\
# Settings of the Roost agent on this machine. docs/agent.md explains them all.
url = "{url}"
device_uid = "{device_uid}"
folder = "{folder}"
transport = "mqtt"          # or "http"
interval_s = 10

# What the hub's users may do to this machine beside asking: "reboot", "shell". Nothing, unless you list it here.
allow = []
# Files that log.tail may read.
log_files = []
# Python functions that answer a dict of readings, as "module:function".
samplers = []
# Programs that print a JSON object of readings.
[commands]
"""


class SettingsError(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One field for each line of the file; see docs/agent.md."""

    url: str
    device_uid: str
    folder: Path = FOLDER
    transport: str = "mqtt"
    mqtt_port: int | None = None
    ca: str | None = None
    interval_s: float = 10.0
    allow: list[str] = field(default_factory=list)
    log_files: list[str] = field(default_factory=list)
    samplers: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    spool_messages: int = 500_000
    reboot_command: list[str] = field(default_factory=lambda: ["systemctl", "reboot"])


def default_uid() -> str:
    """A uid made of this machine's name."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in socket.gethostname())
    return f"agent-{name.strip('-') or 'machine'}"[:64]


def load(path: Path) -> AgentSettings:
    """Read the file. Raises SettingsError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no {path}; `roost-agent pair --url https://your-hub` makes one.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    return _checked(document, path)


def write(path: Path, url: str, device_uid: str, folder: Path) -> None:
    """Make the file; one that is there is left alone. Raises SettingsError."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readable by its owner: the names of plug-in commands need not be everybody's business.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(_TEMPLATE.format(url=url, device_uid=device_uid, folder=folder))
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}") from None


def _checked(document: dict[str, Any], path: Path) -> AgentSettings:
    known = {one.name for one in fields(AgentSettings)}
    unknown = sorted(set(document) - known)
    if unknown:
        raise SettingsError(f"{path}: there is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}.")
    if "url" not in document:
        raise SettingsError(f"{path}: url is missing.")
    settings = AgentSettings(
        **{**document, "folder": Path(document.get("folder", FOLDER)),
           "device_uid": document.get("device_uid") or default_uid()}
    )  # fmt: skip
    wrong = sorted(set(settings.allow) - DANGEROUS)
    if wrong:
        raise SettingsError(f"{path}: allow knows {', '.join(sorted(DANGEROUS))}, not {', '.join(wrong)}.")
    if settings.transport not in {"http", "mqtt"}:
        raise SettingsError(f"{path}: transport is http or mqtt, not {settings.transport!r}.")
    if not isinstance(settings.interval_s, int | float) or not 1 <= settings.interval_s <= 86_400:
        raise SettingsError(f"{path}: interval_s is a number of seconds from 1 to 86400.")
    return settings
