"""A shadow as it is handed around."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from roost.devices.shadow.documents import Document, delta

Side = Literal["desired", "reported"]


@dataclass(frozen=True, slots=True)
class Half:
    """One side. `version` counts its changes; 0 = never set."""

    document: Document = field(default_factory=dict)
    version: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Shadow:
    """Both sides of a device at one moment."""

    device_id: int
    desired: Half = Half()
    reported: Half = Half()

    @cached_property
    def delta(self) -> Document:
        """What the device still has to do."""
        return delta(self.desired.document, self.reported.document)

    @property
    def delta_version(self) -> int:
        """Counts the changes of both sides: of two deltas the one with the greater version is the newer one."""
        return self.desired.version + self.reported.version
