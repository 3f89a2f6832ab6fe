"""Passwords of other brokers: the hub has to send them, so they are kept encrypted, not hashed."""

import json
import logging

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from roost.access.credentials.keys import derived_key

_log = logging.getLogger(__name__)
_HEADER = {"alg": "dir", "enc": "A256GCM"}


class Sealing:
    """Seals under a key derived from the hub's signing secret; each password for one bridge only."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(derived_key(secret, "bridge passwords"))

    def seal(self, client_id: str, password: str) -> str:
        """What may be written into the database."""
        return jwe.encrypt_compact(_HEADER, json.dumps([client_id, password]).encode(), self._key)

    def open(self, client_id: str, sealed: str) -> str | None:
        """The password; None when it was sealed with another key, or for another bridge."""
        try:
            owner, password = json.loads(jwe.decrypt_compact(sealed, self._key).plaintext or b"")
        except (JoseError, ValueError):
            _log.error("the password of a bridge cannot be read: was ROOST_SECRET_KEY changed?")
            return None
        return str(password) if owner == client_id else None
