"""What can go wrong between a device and its hub.

DeviceError
├── NotNow          try again later: unreachable, overloaded, too often
├── Refused         for good: sending the same again cannot help
│   └── TokenRefused   the device is no longer known by its token
└── NotPaired       the device has no token yet
"""


class DeviceError(Exception):
    """Whatever this package raises on purpose."""


class NotNow(DeviceError):  # noqa: N818 - a state of the line, not a mistake
    """Nothing says that the hub has it. `retry_after_s` is how long the hub asks to wait, if it said so."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Refused(DeviceError):  # noqa: N818 - what the hub did, not a mistake of this program
    """The hub has said no. `status` is that of HTTP, `code` is for programs, `detail` a sentence for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class TokenRefused(Refused):
    """The token was revoked, or the device released or deleted: it has to be paired again."""


class NotPaired(DeviceError):  # noqa: N818 - a state of the device
    """There is no token yet; pair the device first."""
