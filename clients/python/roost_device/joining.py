"""How a device gets its token: hello, a code from its owner, the code confirmed."""

import threading
from collections.abc import Callable
from typing import Any

from roost_device.backoff import Backoff
from roost_device.errors import NotNow
from roost_device.hub import Hub
from roost_device.identity import Identity, IdentityFile

# While somebody may be standing in front of the device; afterwards the hub says how long.
_LONGEST_PAUSE_S = 60.0


def say_hello(
    hub: Hub, identity: Identity, firmware_version: str | None = None, capabilities: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make the device known; answers `{device_id, device_uid, claimed, retry_after_s}`.

    Raises NotNow; Refused (409) when another device with this uid announced itself with another key.
    """
    said: dict[str, Any] = {"device_uid": identity.device_uid}
    if firmware_version is not None:
        said["firmware_version"] = firmware_version
    if capabilities is not None:
        said["capabilities"] = capabilities
    if identity.token is None:
        said["pairing_key_hash"] = identity.pairing_key_hash
    _, answer = hub.call("POST", "/devices/hello", said)
    if not isinstance(answer, dict):
        raise NotNow("What answers the hello is no hub.")
    return answer


def confirm(hub: Hub, identity: Identity, file: IdentityFile, pairing_code: str) -> None:
    """Hand in the code that the owner was given, and keep the token.

    Raises NotNow; Refused: 404 wrong, 409 used already, 410 expired or burnt, 403 the hub knows another key.
    """
    said = {
        "device_uid": identity.device_uid,
        "pairing_code": pairing_code,
        "pairing_key": identity.pairing_key,
    }
    _, answer = hub.call("POST", "/pairing/confirm", said)
    identity.device_id = int(answer["device_id"])
    identity.token = hub.token = str(answer["device_token"])
    file.save(identity)


def hello_until_answered(hello: Callable[[], dict[str, Any]], stopped: threading.Event) -> dict[str, Any] | None:
    """Say hello until the hub answers; None when `stopped` was set meanwhile. Raises Refused."""
    backoff = Backoff(longest_s=_LONGEST_PAUSE_S)
    while not stopped.is_set():
        try:
            return hello()
        except NotNow as error:
            stopped.wait(backoff.pause_s(error.retry_after_s))
    return None
