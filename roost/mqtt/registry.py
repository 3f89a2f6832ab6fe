"""Which connections stand, and whose they are."""

from roost.mqtt.reasons import Reason, SignInError
from roost.mqtt.session import Session

CONNECTIONS_PER_CLIENT = 20


class Registry:
    """Every open connection, and of those let in: by client id within its owner, by device, by user session."""

    def __init__(self) -> None:
        self.open: set[Session] = set()
        self._clients: dict[tuple[str, int, str], Session] = {}
        self._of_owner: dict[tuple[str, int], list[Session]] = {}

    def enter(self, session: Session) -> Session | None:
        """Notes a client that was let in; returns the session of the same client id that it takes over.

        Raises:
            SignInError: one device or user holds too many connections.
        """
        owner = owner_of(session)
        key = (*owner, session.client_id)
        old = self._clients.get(key)
        others = self._of_owner.get(owner)
        if others is None:
            self._of_owner[owner] = [session]
        elif old is None and len(others) >= CONNECTIONS_PER_CLIENT:
            detail = f"At most {CONNECTIONS_PER_CLIENT} connections may stand at once with one identity."
            raise SignInError(Reason.QUOTA_EXCEEDED, detail)
        else:
            others.append(session)
        self._clients[key] = session
        return old

    def leave(self, session: Session) -> None:
        """Forgets a client that `enter` has noted."""
        owner = owner_of(session)
        key = (*owner, session.client_id)
        if self._clients.get(key) is session:
            del self._clients[key]
        others = self._of_owner.get(owner, [])
        if session in others:
            others.remove(session)
        if not others:
            self._of_owner.pop(owner, None)

    def find(self, owner: tuple[str, int], client_id: str) -> Session | None:
        """The connection of a client: `("device" or "user", id)` and the client id."""
        return self._clients.get((*owner, client_id))

    def of_device(self, device_id: int) -> list[Session]:
        """The connections of a device."""
        return list(self._of_owner.get(("device", device_id), ()))

    def of_user(self, user_id: int) -> list[Session]:
        """The connections of a user, whichever sign-in they came from."""
        return list(self._of_owner.get(("user", user_id), ()))

    def users(self) -> list[Session]:
        """The connections of all users."""
        return [session for owner, sessions in self._of_owner.items() if owner[0] == "user" for session in sessions]

    def __len__(self) -> int:
        return len(self._clients)


def owner_of(session: Session) -> tuple[str, int]:
    """Whose connection it is: `("device" or "user", id)`. Raises ValueError before it was let in."""
    if session.device is not None:
        return "device", session.device.device_id
    if session.user is not None:
        return "user", session.user.user_id
    raise ValueError("A session without an owner is in no list.")
