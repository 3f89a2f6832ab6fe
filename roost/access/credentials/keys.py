"""Keys for different uses, derived from the one signing secret, so that nothing made for one use fits another."""

import hashlib
import hmac


def derived_key(secret: str, use: str) -> bytes:
    """256 bits for this use."""
    return hmac.new(secret.encode(), f"roost {use}".encode(), hashlib.sha256).digest()
