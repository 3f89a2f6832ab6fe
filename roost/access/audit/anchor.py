"""The newest entry that this hub has seen, kept outside of the database: whoever can change the database alone cannot
take entries off the end of the log, or all of them, without the hub missing them."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

ANCHOR_FILE = "audit_anchor"


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry's number and its seal."""

    last_id: int
    last_mac: str


def load(folder: Path) -> Anchor | None:
    """What was kept in the data folder; None when there is nothing that can be read. Raises OSError."""
    try:
        kept = json.loads((folder / ANCHOR_FILE).read_text(encoding="utf-8"))
        return Anchor(int(kept["last_id"]), str(kept["last_mac"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def save(folder: Path, anchor: Anchor) -> None:
    """Keep it instead of the one before: complete or not at all, for the owner's eyes only. Raises OSError."""
    draft = folder / f".{ANCHOR_FILE}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(anchor), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / ANCHOR_FILE)
