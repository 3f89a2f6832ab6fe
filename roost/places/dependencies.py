"""Who may come to the endpoints of this room, and what they find in `app.state`."""

from typing import Annotated

from starlette.requests import Request

from roost.access.dependencies import requires
from roost.access.principals import UserPrincipal
from roost.places.ports import DevicesInPlaces
from roost.places.repository import READ, WRITE

Reader = Annotated[UserPrincipal, requires(READ)]
Writer = Annotated[UserPrincipal, requires(WRITE)]


def devices_of(request: Request) -> DevicesInPlaces:
    """The room above, as far as places need to know it."""
    devices: DevicesInPlaces = request.app.state.devices_in_places
    return devices
