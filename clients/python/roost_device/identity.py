"""Who this device is: its uid, the key that proves it while pairing, and the token that it gets then."""

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "identity.json"


@dataclass(slots=True)
class Identity:
    """What a device has to remember for ever; `device_id` and `token` are None until it is paired."""

    device_uid: str
    pairing_key: str
    device_id: int | None = None
    token: str | None = None

    @property
    def pairing_key_hash(self) -> str:
        """What the hub may know of the key before the pairing is confirmed."""
        return hashlib.sha256(self.pairing_key.encode()).hexdigest()


class IdentityFile:
    """Keeps an identity in `folder`, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def load(self, device_uid: str) -> Identity:
        """The identity kept under this uid, or a new one. Raises OSError when the folder cannot be written, ValueError
        when the file holds something else or the identity of another uid."""
        try:
            identity = Identity(**json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            identity = Identity(device_uid, secrets.token_hex(32))
            # Before the hub hears of the key: what it has heard once, it goes on asking for.
            self.save(identity)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._path} is damaged ({error}); remove it and pair the device again.") from None
        if identity.device_uid != device_uid:
            raise ValueError(f"{self._path} belongs to the device {identity.device_uid!r}, not to {device_uid!r}.")
        return identity

    def stored_uid(self) -> str | None:
        """The uid that is kept already."""
        try:
            uid = json.loads(self._path.read_text(encoding="utf-8"))["device_uid"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return str(uid)

    def save(self, identity: Identity) -> None:
        """Replace the file in one step, so that a power cut leaves the old one or the new one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(asdict(identity), stream)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
