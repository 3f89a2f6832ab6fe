"""`roost api`: one of several processes, for the HTTP API, WebSockets and the web app."""

from typing import Any

from roost.cli.run import serve, with_flags
from roost.parts import Part


def api(**flags: Any) -> None:
    """Run one of several processes: the HTTP API, WebSockets and the web app. Needs --nats-url.

    Any number of these can run.
    """
    serve(Part.API, flags)


with_flags(api)
