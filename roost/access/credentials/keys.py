"""The hub's signing secret, and keys for different uses derived from it: nothing made for one use fits another."""

import hashlib
import hmac

from roost.core.secrets import load_or_create
from roost.core.settings import Settings

SECRET_FILE = "secret_key"  # noqa: S105 - a file's name


def signing_secret(settings: Settings) -> str:
    """The key of access tokens: from the settings, or else generated in the data folder. Raises OSError."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    return load_or_create(settings.data_dir / SECRET_FILE)


def derived_key(secret: str, use: str) -> bytes:
    """256 bits for this use."""
    return hmac.new(secret.encode(), f"roost {use}".encode(), hashlib.sha256).digest()
