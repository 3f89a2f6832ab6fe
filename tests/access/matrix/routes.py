"""Every route of the application, as the application itself has them."""

from fastapi.routing import iter_route_contexts
from starlette.routing import WebSocketRoute

from roost.app import create_app
from roost.core.http import PREFIX
from roost.core.settings import Settings


def endpoints() -> list[str]:
    """`GET /devices/{device_id}`, `WS /ws/live-data`: method and path without the prefix, in the order of the routes.

    HEAD is left out: it is the same handler as GET, without the body.
    """
    found = []
    for route in iter_route_contexts(create_app(Settings(_env_file=None)).routes):
        path = (route.path or "").removeprefix(PREFIX)
        if isinstance(getattr(route, "starlette_route", None) or route.original_route, WebSocketRoute):
            found.append(f"WS {path}")
        else:
            found += [f"{method} {path}" for method in sorted(set(route.methods or ()) - {"HEAD"})]
    return found
