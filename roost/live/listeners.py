"""Who listens to what, and the fan-out of frames to them.

Nothing here awaits: the ingest path calls it after every commit. Without a listener it costs one comparison per commit;
a frame is built at most once, for the first listener that wants it.
"""

from collections import deque
from collections.abc import Callable

from roost.access.principals import UserPrincipal
from roost.live.frames import dropped_frame

QUEUE_FRAMES = 256

# An organization and, unless it is about the organization itself, a home in it.
Place = tuple[int, int | None]


class Listener:
    """One socket's subscription and its bounded queue of frames.

    When the queue is full the oldest frame goes, and the gap is counted. `wake` is called when something is to be sent.
    Each frame waits with the place (organization, home) it is about: whoever may see less by then does not get it.
    """

    __slots__ = ("_dropped", "_frames", "_held", "_principal", "_reachable", "_wake", "device_id", "home_id", "scope")

    def __init__(
        self,
        principal: UserPrincipal,
        scope: str,
        wake: Callable[[], None],
        *,
        home_id: int | None = None,
        device_id: int | None = None,
    ) -> None:
        self._principal = principal
        self.scope = scope
        self._wake = wake
        self._frames: deque[tuple[str, Place]] = deque()
        self._dropped = 0
        self._held = False
        self._reachable: dict[Place, bool] = {}
        self.home_id = home_id
        self.device_id = device_id

    @property
    def principal(self) -> UserPrincipal:
        """As whom this socket listens."""
        return self._principal

    @principal.setter
    def principal(self, principal: UserPrincipal) -> None:
        """Listen as this one from now on; of what was held back stays what this one may see too."""
        self._principal = principal
        self._reachable.clear()
        if self._held:
            self._held = False
            self._frames = deque(waiting for waiting in self._frames if self._may_see(waiting[1]))
            self._wake()

    def wants(self, device_id: int, place: Place) -> bool:
        """Whether this socket asked for that device, which is in this place, and may see it."""
        if self.device_id is not None and self.device_id != device_id:
            return False
        if self.home_id is not None and self.home_id != place[1]:
            return False
        return self._may_see(place)

    def _may_see(self, place: Place) -> bool:
        allowed = self._reachable.get(place)
        if allowed is None:
            allowed = self._principal.can(self.scope, *place)
            self._reachable[place] = allowed
        return allowed

    @property
    def held(self) -> bool:
        """Whether nothing is given out at the moment."""
        return self._held

    def hold(self) -> None:
        """Give nothing out until the principal is set anew."""
        self._held = True

    def offer(self, frame: str, place: Place) -> None:
        """Queue a frame about something in this place; never blocks."""
        if len(self._frames) >= QUEUE_FRAMES:
            self._frames.popleft()
            self._dropped += 1
        self._frames.append((frame, place))
        self._wake()

    def take(self) -> str | None:
        """The next frame to send: after a gap the one that says how many are missing. None when nothing waits."""
        if self._held:
            return None
        if self._dropped:
            missing, self._dropped = self._dropped, 0
            return dropped_frame(missing)
        return self._frames.popleft()[0] if self._frames else None

    def clear(self) -> None:
        """Forget what waits: it was for someone who may no longer see it."""
        self._dropped = 0
        self._frames.clear()


class Listeners:
    """All listeners of one kind of frame, found by device or by organization."""

    def __init__(self) -> None:
        # ("device", id) holds those that asked for one device, ("organization", id) the others by where they may look,
        # ("organization", None) those whose reach is not bound to one.
        self._shelves: dict[tuple[str, int | None], set[Listener]] = {}
        self._all: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Register a listener under its present principal; the answer removes it again (twice does no harm)."""
        keys = _shelf_keys(listener)
        for key in keys:
            self._shelves.setdefault(key, set()).add(listener)
        self._all.add(listener)
        return lambda: self._remove(listener, keys)

    def might_want(self, device_id: int) -> bool:
        """Whether anybody may want something of this device, wherever it is."""
        return ("device", device_id) in self._shelves or any(kind == "organization" for kind, _ in self._shelves)

    def offer(self, device_id: int, organization_id: int, home_id: int | None, build: Callable[[], str]) -> None:
        """Give a frame to everyone who wants it; `build` is called once, and only when somebody does."""
        frame: str | None = None
        place = (organization_id, home_id)
        for listener in self._candidates(device_id, organization_id):
            if listener.wants(device_id, place):
                if frame is None:
                    frame = build()
                listener.offer(frame, place)

    def _candidates(self, device_id: int, organization_id: int) -> list[Listener]:
        shelves = self._shelves
        # A listener may stand on several shelves of organizations, but only one of them matches a device here:
        # whoever is on the unbound shelf is on no other.
        return [
            *shelves.get(("device", device_id), ()),
            *shelves.get(("organization", organization_id), ()),
            *shelves.get(("organization", None), ()),
        ]

    def _remove(self, listener: Listener, keys: list[tuple[str, int | None]]) -> None:
        self._all.discard(listener)
        for key in keys:
            self._shelves[key].discard(listener)
            if not self._shelves[key]:
                del self._shelves[key]
        keys.clear()


def _shelf_keys(listener: Listener) -> list[tuple[str, int | None]]:
    if listener.device_id is not None:
        return [("device", listener.device_id)]
    reach = listener.principal.reach(listener.scope)
    if reach.everywhere:
        return [("organization", None)]
    organizations = reach.organizations | {organization_id for organization_id, _ in reach.homes}
    return [("organization", organization_id) for organization_id in organizations]
