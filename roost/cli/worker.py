"""`roost worker`: one of several processes, for storing what devices send."""

from typing import Any

from roost.cli.run import serve, with_flags
from roost.parts import Part


def worker(**flags: Any) -> None:
    """Run one of several processes: storing what devices send. Needs --nats-url.

    Any number of these can run and share the devices; each answers /healthz, /readyz and /metrics on its HTTP port.
    """
    serve(Part.WORKER, flags)


with_flags(worker)
