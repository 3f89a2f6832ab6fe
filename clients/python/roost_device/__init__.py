"""A device's side of a Roost hub: pairing, telemetry, tasks and shadow, with nothing lost while it is offline."""

from roost_device.device import Device
from roost_device.errors import DeviceError, NotNow, NotPaired, Refused, TokenRefused
from roost_device.tasks import Task, TaskFailed

__version__ = "0.1.0"

__all__ = ["Device", "DeviceError", "NotNow", "NotPaired", "Refused", "Task", "TaskFailed", "TokenRefused"]
