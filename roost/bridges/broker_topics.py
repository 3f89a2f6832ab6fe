"""The hub's own topics at other brokers; all begin with the bridge's client id, which no other hub has."""


def availability_topic(client_id: str) -> str:
    """Where it stands whether the hub is there: `online`, or `offline`, which the broker says for one that is gone."""
    return f"{client_id}/availability"


def config_topic(prefix: str, client_id: str, device_id: int) -> str:
    """Where Home Assistant reads what a device is; an empty message there removes it."""
    return f"{prefix}/device/{client_id}-{device_id}/config"


def state_topic(client_id: str, device_id: int) -> str:
    """Where the device's newest values stand."""
    return f"{client_id}/{device_id}/state"


def presence_topic(client_id: str, device_id: int) -> str:
    """Where it stands whether the device is there."""
    return f"{client_id}/{device_id}/availability"


def birth_topic(prefix: str) -> str:
    """Where Home Assistant says that it has started."""
    return f"{prefix}/status"
