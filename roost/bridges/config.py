"""A bridge as those see it who speak with the broker."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from roost.bridges.mapping import Source
from roost.bridges.models import Bridge
from roost.bridges.schemas import SourceIn

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """What a row said when it was read. Two that are equal need no new connection.

    `leaving`: the broker is to be told that nothing is wanted any more; with `ended_at` the row goes then, too.
    """

    id: int
    organization_id: int
    home_id: int | None
    name: str
    url: str
    version: str
    user_name: str | None
    sealed_password: str | None = field(repr=False)
    ca_certificate: str | None = field(repr=False)
    client_id: str
    sources: tuple[Source, ...]
    register_devices: bool
    discovery_prefix: str | None
    leaving: bool
    ended_at: datetime | None
    stale_filters: tuple[str, ...] = field(compare=False)

    @classmethod
    def of(cls, row: Bridge) -> "BridgeConfig":
        return cls(
            id=row.id,
            organization_id=row.organization_id,
            home_id=row.home_id,
            name=row.name,
            url=row.url,
            version=row.version,
            user_name=row.user_name,
            sealed_password=row.sealed_password,
            ca_certificate=row.ca_certificate,
            client_id=row.client_id,
            sources=tuple(SourceIn.model_validate(source).source() for source in row.sources),
            register_devices=row.register_devices,
            discovery_prefix=row.discovery_prefix,
            leaving=not row.enabled,
            ended_at=row.ended_at,
            stale_filters=tuple(row.stale_filters),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def filters(self) -> tuple[str, ...]:
        """What is subscribed to, each once."""
        return tuple(dict.fromkeys(source.pattern.filter for source in self.sources))

    def reaches(self, organization_id: int | None, home_id: int | None) -> bool:
        """Whether the bridge is about a device that stands there."""
        return organization_id == self.organization_id and self.home_id in {None, home_id}
