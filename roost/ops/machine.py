"""Which machine this is: a name for people and an id that stays the same."""

import hashlib
import re
import secrets
import socket
from pathlib import Path

MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
OWN_ID_FILE = "machine-id"
UID_PREFIX = "host-"
UID_DIGITS = 16
NAME_LENGTH = 120

_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


def host_uid(data_dir: Path, machine_id_files: tuple[Path, ...] = MACHINE_ID_FILES) -> str:
    """The uid under which this machine is a device.

    Derived from the system's machine id, which is itself confidential; where there is none (macOS, containers), from a
    random id kept in the data folder. Raises OSError when that cannot be written.
    """
    machine_id = _system_id(machine_id_files) or _own_id(data_dir / OWN_ID_FILE)
    return UID_PREFIX + hashlib.sha256(b"roost host device " + machine_id.encode()).hexdigest()[:UID_DIGITS]


def host_name() -> str:
    """This machine's name, short enough for a device's name."""
    return socket.gethostname().strip()[:NAME_LENGTH] or "This machine"


def _system_id(files: tuple[Path, ...]) -> str | None:
    for file in files:
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if _MACHINE_ID.fullmatch(text):
            return text
    return None


def _own_id(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        made = secrets.token_hex(16)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made + "\n", encoding="ascii")
        return made
