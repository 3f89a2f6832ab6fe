"""Who may knock, and how often: the limits in front of the endpoints that need no credential."""

import ipaddress

from starlette.requests import Request

from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.rates import RateLimiter
from roost.devices.joining import Reception
from roost.devices.ports import HubLoad, NoLoad

# A house full of devices that come back after a power cut shares one address.
_HELLOS_A_MINUTE = 300
_CONFIRMS_A_MINUTE = 120
_NEWCOMERS_A_MINUTE = 30
_NEWCOMERS_AT_ONCE = 300


class Admission:
    """Limits per address. `load` may be replaced by whoever knows how busy the hub is."""

    def __init__(self, database: Database, clock: Clock, load: HubLoad | None = None) -> None:
        self._newcomers = RateLimiter(clock, per_minute=_NEWCOMERS_A_MINUTE, burst=_NEWCOMERS_AT_ONCE)
        self.reception = Reception(database, clock, self._newcomers)
        self.load: HubLoad = load or NoLoad()
        self._hellos = RateLimiter(clock, per_minute=_HELLOS_A_MINUTE, burst=_HELLOS_A_MINUTE)
        self._confirms = RateLimiter(clock, per_minute=_CONFIRMS_A_MINUTE, burst=_CONFIRMS_A_MINUTE)

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """The limits by name, for whoever shares them with other processes."""
        return {"hello": self._hellos, "pairing": self._confirms, "newcomer": self._newcomers}

    def check_hello(self, request: Request) -> str:
        """The network that the request came from. Raises TooMany."""
        network = _network(request)
        self._hellos.check(network, "Too many hellos from this address; wait a moment.")
        return network

    def check_confirm(self, request: Request) -> None:
        """Raises TooMany."""
        self._confirms.check(_network(request), "Too many tries to pair from this address; wait a moment.")


def _network(request: Request) -> str:
    """The address; of IPv6 the first 64 bits, since whoever has one such address has all of them."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
