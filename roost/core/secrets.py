"""Secrets that nobody has to invent: made at the first start, kept in the data folder, readable by the owner only."""

import os
import secrets
from pathlib import Path


def load_or_create(path: Path) -> str:
    """The secret in `path`; 256 fresh random bits when there is none yet. Raises OSError.

    The file appears complete or not at all, and of two processes that start together one wins and both use it.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return path.read_text(encoding="ascii").strip()
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
