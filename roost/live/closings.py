"""Why the hub closes a live socket: codes of its own (4xxx mirror the HTTP statuses) with a sentence for a person."""

from roost.access.principals import UserPrincipal

BAD_FRAME = 4400
NOT_SIGNED_IN = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404
TOO_MANY = 4429
UNAVAILABLE = 1013
UNSUPPORTED = 1003
TOO_LARGE = 1009

# A close frame has 125 bytes, two of which are the code.
REASON_BYTES = 123


class Closing(Exception):  # noqa: N818 - it is no error when a token has served its time
    """The socket has to end, with this code and reason; `principal` is whom it is refused, if that is known."""

    def __init__(self, code: int, reason: str, principal: UserPrincipal | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.principal = principal
        self.reason = reason.encode()[:REASON_BYTES].decode(errors="ignore")
