"""`roost mqtt`: one of several processes, for the MQTT endpoint."""

from typing import Any

from roost.cli.run import serve, with_flags
from roost.parts import Part


def mqtt(**flags: Any) -> None:
    """Run one of several processes: the MQTT endpoint. Needs --nats-url.

    Any number of these can run; each answers /healthz, /readyz and /metrics on its HTTP port.
    """
    serve(Part.MQTT, flags)


with_flags(mqtt)
